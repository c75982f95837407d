/** Put a text on the clipboard. Browsers offer their own way only to pages from this machine or over HTTPS. */
export async function copyText(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const field = Object.assign(document.createElement('textarea'), {value: text, readOnly: true});
  document.body.append(field);
  field.select();
  document.execCommand('copy');
  field.remove();
  return undefined;
}
