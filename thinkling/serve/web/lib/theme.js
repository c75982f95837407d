// Before the first paint: the theme that was chosen, if one was. Not a module, so that nothing is drawn earlier.
(() => {
  try {
    const chosen = JSON.parse(localStorage.getItem('thinkling.theme'));
    if (chosen === 'light' || chosen === 'dark') document.documentElement.dataset.theme = chosen;
  } catch {
    // no storage, or nothing readable in it: the system's theme
  }
})();
