// Line icons on a 24 x 24 grid, drawn with the current colour.
import {h} from '../vendor/preact.js';

const PATHS = {
  chat: 'M4 5.5h16v11H9.5L5.5 20v-3.5H4z',
  tokens: 'M3 7h6v10H3zM11 7h4v10h-4zM17 7h4v10h-4z',
  inside: 'M12 3v3M12 18v3M3 12h3M18 12h3M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8M5.6 5.6l2.1 2.1M16.3 16.3l2.1 2.1M5.6 18.4l2.1-2.1M16.3 7.7l2.1-2.1',
  runs: 'M4 4v16h16M7 15l4-5 3 3 5-7',
  sun: 'M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8M12 2.5v2M12 19.5v2M2.5 12h2M19.5 12h2M5.3 5.3l1.4 1.4M17.3 17.3l1.4 1.4M5.3 18.7l1.4-1.4M17.3 6.7l1.4-1.4',
  moon: 'M20 14.5A8.5 8.5 0 0 1 9.5 4 8.5 8.5 0 1 0 20 14.5',
  plus: 'M12 5v14M5 12h14',
  close: 'M6 6l12 12M18 6L6 18',
  menu: 'M4 7h16M4 12h16M4 17h16',
  sidebar: 'M4 5h16v14H4zM9.5 5v14',
  search: 'M10.5 4.5a6 6 0 1 0 0 12 6 6 0 0 0 0-12M15 15l5 5',
  edit: 'M4 20l1-4L16 5l3 3L8 19zM14 7l3 3',
  trash: 'M5 7h14M9.5 7V4.5h5V7M7 7l1 13h8l1-13',
  more: 'M5 12h.01M12 12h.01M19 12h.01',
  copy: 'M9 9h11v11H9zM5 15H4V4h11v1',
  check: 'M5 12.5l5 5L19.5 7',
  retry: 'M19.5 12a7.5 7.5 0 1 1-2.2-5.3L20 9.4M20 4.5v4.9h-4.9',
  left: 'M14.5 6L8.5 12l6 6',
  right: 'M9.5 6l6 6-6 6',
  down: 'M6 9.5l6 6 6-6',
  up: 'M6 14.5l6-6 6 6',
  send: 'M12 19.5V5M5.5 11.5L12 5l6.5 6.5',
  stop: 'M7 7h10v10H7z',
  sliders: 'M4 8h8M18 8h2M15 5v6M4 16h2M12 16h8M9 13v6',
  columns: 'M4 5h7v14H4zM13 5h7v14h-7z',
  fork: 'M7 4v6a4 4 0 0 0 4 4h6M7 10v10M14 11l3 3-3 3',
  think: 'M12 3.5a6.5 6.5 0 0 0-3.5 12V18h7v-2.5a6.5 6.5 0 0 0-3.5-12M9.5 21h5',
  upload: 'M12 16V5M7.5 9.5L12 5l4.5 4.5M5 19.5h14',
  download: 'M12 5v11M7.5 11.5L12 16l4.5-4.5M5 19.5h14',
  text: 'M5 6h14M5 11h14M5 16h9',
  palette: 'M4 5h4v4H4zM10 5h4v4h-4zM16 5h4v4h-4zM4 11h4v4H4zM10 11h4v4h-4zM4 17h4v2H4z',
  warn: 'M12 4L2.5 20h19zM12 10v4.5M12 17h.01',
  info: 'M12 3.5a8.5 8.5 0 1 0 0 17 8.5 8.5 0 0 0 0-17M12 11v5.5M12 7.8h.01',
  key: 'M8 9.5a3.5 3.5 0 1 0 0 7 3.5 3.5 0 0 0 0-7M11 11.5l9-7.5M16.5 7l2.5 2.5',
};

export function Icon({name, size = 18}) {
  return h('svg', {
    class: 'icon', width: size, height: size, viewBox: '0 0 24 24', fill: 'none', stroke: 'currentColor',
    'stroke-width': 1.8, 'stroke-linecap': 'round', 'stroke-linejoin': 'round', 'aria-hidden': 'true', focusable: 'false',
  }, h('path', {d: PATHS[name]}));
}
