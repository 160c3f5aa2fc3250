/** Seconds, or a text such as `10m`. */
export type Span = number | string;

export interface PublishOptions {
  /** Its id derives from this key: at another attempt it is the same. */
  key?: string;
  /** Sent at this instant. */
  at?: Date | string;
  /** Sent so long after it is accepted. */
  delay?: Span;
}

/** Outside of a delivery. */
export interface SendOptions extends PublishOptions {
  id?: string;
  subject?: string;
  correlation_id?: string;
}

export interface Published {
  id: string | null;
  /** Of what is sent later: the name under which the clock keeps it. */
  name?: string;
  due?: string;
}

/** `ponos serve` refused something, or can't be reached; `status` is 0 then. */
export class BusError extends Error {
  readonly status: number;
  readonly code: string;
}

/** One delivery. What it publishes is sent when it is done. */
export class Event<T = any> {
  readonly token: string;
  readonly queue: string;
  readonly attempt: number;
  readonly attempts: number;
  readonly deadline: string;
  readonly first_seen: string;
  readonly correlation_id: string;
  readonly causation_id: string | null;
  /** The CloudEvent. */
  readonly attributes: Record<string, any>;
  readonly id: string;
  readonly name: string;
  readonly data: T;
  /** Publishes an event for everybody. */
  publish(name: string, data: unknown, options?: PublishOptions): void;
  /** Publishes a task of this service. */
  task(name: string, data: unknown, options?: PublishOptions): void;
  /** It can never work: to the dead letters. */
  dead(reason: string): void;
  /** Another attempt later, by the policy or after this time. */
  retry(reason: unknown, after?: Span): void;
  /** The same attempt again after this time; none is spent. */
  snooze(after: Span, reason?: string): void;
  /** Back to its queue, for any replica. */
  release(): void;
  /** There was nothing to do. */
  skip(): void;
  /** Takes more time: as long from now. */
  extend(by: Span): Promise<void>;
  /** Settles it now, as it was decided. */
  settle(): Promise<void>;
}

export interface BusOptions {
  /** `http://127.0.0.1:7313`, or `unix:PATH`; else `PONOS_SERVE`. */
  url?: string;
  /** Else `PONOS_TOKEN`. */
  token?: string;
  /** Whether the first SIGTERM or SIGINT stops it (true); the next one kills. */
  signals?: boolean;
  /** For how many seconds a lost answer is asked for again (60). */
  patience?: number;
  log?: (...what: unknown[]) => void;
}

export class Bus implements AsyncIterable<Event> {
  constructor(options?: BusOptions);
  /** Ends the waiting for events; what handlers have is still settled. */
  stop(): void;
  receive(queue?: string): Promise<Event | undefined>;
  /** Rejects where an event could not be settled, once the other handlers have settled theirs. */
  run(handler: (event: Event) => unknown, options?: { concurrency?: number; queue?: string }): Promise<void>;
  [Symbol.asyncIterator](): AsyncGenerator<Event>;
  publish(name: string, data: unknown, options?: SendOptions): Promise<Published>;
  task(name: string, data: unknown, options?: SendOptions): Promise<Published>;
  contracts(): Promise<Record<string, any>>;
  close(): void;
}
