// Server-sent events out of the body of a POST, which EventSource cannot do.

/** The `data` of each event of a stream of bytes. https://html.spec.whatwg.org/multipage/server-sent-events.html */
export async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  const split = splitter();
  try {
    for (;;) {
      const {done, value} = await reader.read();
      if (done) return;
      yield* split(value);
    }
  } finally {
    reader.cancel().catch(() => {}); // the reader may have failed already: that is the error to show
  }
}

/** A function from pieces of text, cut anywhere, to the data of the events that each piece completes. */
export function splitter() {
  let waiting = '';
  let data = [];
  let first = true;
  return (text) => {
    if (first && text) { // a byte order mark may come first
      first = false;
      if (text.startsWith('\ufeff')) text = text.slice(1);
    }
    const done = [];
    waiting += text;
    // a lone carriage return at the end may be half of a line's end
    const lines = waiting.split(/\r\n|\n|\r(?!$)/);
    waiting = lines.pop();
    for (const line of lines) {
      if (line === '') {
        if (data.length) done.push(data.join('\n'));
        data = [];
      } else if (line.startsWith('data:')) {
        data.push(line.slice(line[5] === ' ' ? 6 : 5));
      }
    }
    return done;
  };
}
