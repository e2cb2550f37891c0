/** Gathers what comes and hands it over together, so that a burst is drawn once. */
export class Batch<T> {
  #waiting: T[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly ms: number,
    private readonly show: (items: T[]) => void,
  ) {}

  push(item: T): void {
    this.#waiting.push(item);
    this.#timer ??= setTimeout(() => this.flush(), this.ms);
  }

  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const items = this.#waiting;
    this.#waiting = [];
    if (items.length) this.show(items);
  }
}
