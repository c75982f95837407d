// One door to what every view is written with: preact, its hooks, `html` templates and the shared widgets.
import {Component, Fragment, createContext, createPortal, createRef, h, render} from '../vendor/preact.js';
import htm from '../vendor/htm.js';

export const html = htm.bind(h);
export {Component, Fragment, createContext, createPortal, createRef, h, render};
export {
  useCallback, useContext, useEffect, useErrorBoundary, useId, useLayoutEffect, useMemo, useReducer, useRef, useState,
} from '../vendor/preact-hooks.js';
export {cx, memo, readStored, writeStored, useEvent, useLoad, useMedia, useStore, useStored, Store} from './state.js';
export {Icon} from './icons.js';
export {Bars, Dialog, IconButton, ModelSelect, Notice, NumberInput, Segmented, Select, Slider, Spinner, Switch} from './widgets.js';
