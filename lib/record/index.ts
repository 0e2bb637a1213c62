/**
 * `node-cxl/record`: records what a program does with a card, and replays it without one.
 *
 * @module node-cxl/record
 */
export { ReplayDivergedError } from './departure';
export type { RecordOptions } from './options';
export {
  type BadRecordingError,
  type Recording,
  type RecordingProblem,
  readRecording,
  recordingFiles,
} from './reader';
export { RecordedCxl, recordCxl } from './record';
export type {
  AccessRecord,
  BlockRecord,
  CallRecord,
  EndRecord,
  EventsRecord,
  MemoryAddress,
  MemoryRange,
  MemoryRecord,
  NoteRecord,
  RecordedAccessName,
  RecordedCallName,
  RecordedEntry,
  RecordedItem,
  RecordingHeader,
  RecordPlace,
  ReturnRecord,
  SysfsRecord,
  SystemRecord,
} from './records';
export { ReplayedCxl, type ReplayOptions, replayCxl } from './replay';
