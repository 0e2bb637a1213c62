/**
 * Spans for what a program does with its accelerators, from the diagnostics channels of node-cxl.
 * `Tracer` is the part of OpenTelemetry's that this uses: pass
 * `trace.getTracer('node-cxl')` of @opentelemetry/api.
 */
import { channel } from 'node:diagnostics_channel';

export interface Span {
  setAttribute(name: string, value: string | number): unknown;
  recordException(error: Error): void;
  end(): void;
}
export interface Tracer {
  startSpan(name: string): Span;
}

const OPERATIONS = [
  'open',
  'attach',
  'close',
  'wait',
  'flash.command',
  'flash.ioctl',
  'doe.exchange',
];

/** Begins a span at the start of each operation, and ends it with the operation. Returns how to stop. */
export function spansOf(tracer: Tracer): () => void {
  // One message object accompanies an operation from its start to its end.
  const spans = new WeakMap<object, Span>();

  const end = (message: unknown) => {
    spans.get(message as object)?.end();
    spans.delete(message as object);
  };
  const listeners: Record<string, (message: unknown, name: string) => void> = {
    start(message, name) {
      const span = tracer.startSpan(name);
      for (const [field, value] of Object.entries(message as object)) {
        if (value === undefined) continue;
        span.setAttribute(`cxl.${field}`, typeof value === 'number' ? value : String(value));
      }
      spans.set(message as object, span);
    },
    error(message) {
      spans.get(message as object)?.recordException((message as { error: Error }).error);
    },
    // A synchronous operation, such as attachSync(), has its duration here already.
    end(message) {
      if ((message as { duration?: number }).duration !== undefined) end(message);
    },
    asyncEnd: end,
  };

  const stops: (() => void)[] = [];
  for (const operation of OPERATIONS) {
    for (const [event, listener] of Object.entries(listeners)) {
      const events = channel(`tracing:node-cxl:${operation}:${event}`);
      const listen = (message: unknown) => listener(message, `node-cxl:${operation}`);
      events.subscribe(listen);
      stops.push(() => events.unsubscribe(listen));
    }
  }
  return () => {
    for (const stop of stops) stop();
  };
}
