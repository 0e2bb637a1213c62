// Reads choices and values from the bytes of an input. Past their end everything is 0.
export class Input {
  #bytes;
  #at = 0;

  constructor(bytes) {
    this.#bytes = bytes;
  }

  get done() {
    return this.#at >= this.#bytes.length;
  }

  byte() {
    const value = this.#bytes[this.#at] ?? 0;
    this.#at += 1;
    return value;
  }

  uint16() {
    return this.byte() | (this.byte() << 8);
  }

  uint32() {
    return (this.uint16() | (this.uint16() << 16)) >>> 0;
  }

  uint64() {
    return BigInt(this.uint32()) | (BigInt(this.uint32()) << 32n);
  }

  /** `limit`: at most 256. */
  below(limit) {
    return this.byte() % limit;
  }

  pick(list) {
    return list[this.below(list.length)];
  }

  /** At most `count` bytes. */
  bytes(count) {
    const bytes = this.#bytes.subarray(this.#at, this.#at + count);
    this.#at += count;
    return bytes;
  }

  rest() {
    return this.bytes(this.#bytes.length);
  }
}
