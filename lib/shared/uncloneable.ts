/**
 * Base class of objects that stand for something of this process and thread: an open file, a
 * mapping, memory. structuredClone(), postMessage() and v8.serialize() throw a DataCloneError for
 * them. An ordinary object would arrive as one without methods and private fields.
 */
export abstract class Uncloneable {
  constructor() {
    // Every version of V8 refuses to clone a FinalizationRegistry. markAsUncloneable() of
    // node:worker_threads is not in Node 18 and 20. Nothing is ever registered here. Made so, and not
    // by setPrototypeOf(), the class has its own name in stack traces.
    // biome-ignore lint/correctness/noConstructorReturn: the object has another prototype
    return Reflect.construct(FinalizationRegistry, [ignore], new.target) as Uncloneable;
  }
}

function ignore(): void {}
