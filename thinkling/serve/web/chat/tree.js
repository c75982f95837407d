// A conversation is a tree: an edited question or another answer begins a branch, and nothing is lost.

export class Tree {
  /** `messages`: {id, parent, ...}, each after its parent. */
  constructor(messages = []) {
    this.byId = new Map();
    this.children = new Map(); // the id of a message, or null for the beginning -> ids in order
    for (const message of messages) this.add(message);
  }

  add(message) {
    this.byId.set(message.id, message);
    const parent = message.parent ?? null;
    if (!this.children.has(parent)) this.children.set(parent, []);
    this.children.get(parent).push(message.id);
  }

  /** Put a message in the place of another, with another id. */
  replace(id, message) {
    const siblings = this.children.get(this.byId.get(id).parent ?? null);
    siblings[siblings.indexOf(id)] = message.id;
    this.byId.delete(id);
    this.byId.set(message.id, message);
    const below = this.children.get(id);
    if (below && id !== message.id) {
      this.children.delete(id);
      this.children.set(message.id, below);
      for (const child of below) this.byId.set(child, {...this.byId.get(child), parent: message.id});
    }
  }

  /** Take a message and all below it away. */
  remove(id) {
    for (const child of [...(this.children.get(id) ?? [])]) this.remove(child);
    const siblings = this.children.get(this.byId.get(id).parent ?? null);
    siblings.splice(siblings.indexOf(id), 1);
    this.children.delete(id);
    this.byId.delete(id);
  }

  /** The messages from the beginning to this one. */
  path(id) {
    const found = [];
    for (let at = this.byId.get(id); at; at = this.byId.get(at.parent)) found.push(at);
    return found.reverse();
  }

  siblings(id) {
    return this.children.get(this.byId.get(id).parent ?? null) ?? [];
  }

  /** The end of the newest branch under a message. */
  leaf(id) {
    for (let at = id; ; ) {
      const below = this.children.get(at);
      if (!below?.length) return at;
      at = below[below.length - 1];
    }
  }

  /** The newest leaf of all; null in an empty tree. */
  get last() {
    return this.children.get(null)?.length ? this.leaf(null) : null;
  }
}
