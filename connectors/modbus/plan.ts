/** Places of one table that one item needs. */
export interface Span {
  readonly first: number;
  readonly length: number;
  /** May be fetched in parts. */
  readonly divisible: boolean;
  /** A limit of its own for the requests it is part of. */
  readonly maxLength?: number | undefined;
}

/** Part of a block that belongs to a span. */
export interface Slice {
  /** Index of the span. */
  readonly span: number;
  /** Place in the block. */
  readonly offset: number;
  /** Place in the span. */
  readonly from: number;
  readonly length: number;
}

/** One request. Its slices are in the order of their places. */
export interface Block {
  readonly first: number;
  readonly length: number;
  readonly slices: readonly Slice[];
}

/** What a plan has to keep to. */
export interface PlanLimits {
  /** `false`: one request for each span. */
  readonly merge: boolean;
  readonly maxLength: number;
  /** Places between two spans that are read along. */
  readonly maxGap: number;
  /** No block may hold both the place before a cut and the cut: the device refused that. */
  readonly cuts: readonly number[];
}

/** A span, or a part of a long one, on its way into a block. */
interface Piece extends Span {
  readonly span: number;
  readonly from: number;
}

/** Requests that fetch every span, in the order of their addresses. A span is split only when it is longer than a request. */
export function planReads(spans: readonly Span[], limits: PlanLimits): readonly Block[] {
  const pieces = spans
    .flatMap((span, index) => piecesOf(span, index, limits.maxLength))
    .sort((a, b) => a.first - b.first || a.length - b.length);
  const cuts = [...limits.cuts].sort((a, b) => a - b);
  const blocks: Block[] = [];
  let open: Piece[] = [];
  for (const piece of pieces) {
    if (open.length > 0 && !canJoin(open, piece, limits, cuts)) {
      blocks.push(blockOf(open));
      open = [];
    }
    open.push(piece);
  }
  if (open.length > 0) {
    blocks.push(blockOf(open));
  }
  return blocks;
}

function piecesOf(span: Span, index: number, maxLength: number): readonly Piece[] {
  const most = Math.min(maxLength, span.maxLength ?? maxLength);
  if (!span.divisible || span.length <= most) {
    return [{ ...span, span: index, from: 0 }];
  }
  const pieces: Piece[] = [];
  for (let from = 0; from < span.length; from += most) {
    const length = Math.min(most, span.length - from);
    pieces.push({ ...span, span: index, from, first: span.first + from, length });
  }
  return pieces;
}

function canJoin(
  open: readonly Piece[],
  next: Piece,
  limits: PlanLimits,
  cuts: readonly number[],
): boolean {
  const first = open[0]?.first ?? 0;
  const end = endOf(open);
  if (!limits.merge || next.first - end > limits.maxGap) {
    return false;
  }
  const length = Math.max(end, next.first + next.length) - first;
  const most = [...open, next].reduce(
    (least, { maxLength }) => Math.min(least, maxLength ?? least),
    limits.maxLength,
  );
  return length <= most && !cuts.some((cut) => cut > first && cut <= next.first);
}

/** The place behind the last one. */
function endOf(pieces: readonly { readonly first: number; readonly length: number }[]): number {
  return pieces.reduce((end, { first, length }) => Math.max(end, first + length), 0);
}

function blockOf(pieces: readonly Piece[]): Block {
  const first = pieces[0]?.first ?? 0;
  return {
    first,
    length: endOf(pieces) - first,
    slices: pieces.map((piece) => ({
      span: piece.span,
      offset: piece.first - first,
      from: piece.from,
      length: piece.length,
    })),
  };
}

/** How a refused block is read instead: without its gaps, in two halves, or the one item in two parts. */
export interface Split {
  readonly by: "gaps" | "halves" | "parts";
  readonly blocks: readonly Block[];
}

/** An item is not read in parts below this length. */
const LEAST_PART = 8;

/** Smaller blocks for one that was refused, or `undefined` when it is a single item that cannot be split. */
export function splitBlock(block: Block, spans: readonly Span[]): Split | undefined {
  const { slices } = block;
  const runs = runsOf(slices);
  if (runs.length > 1) {
    return { by: "gaps", blocks: runs.map((run) => subBlock(block, run)) };
  }
  if (slices.length > 1) {
    const middle = Math.ceil(slices.length / 2);
    const halves = [slices.slice(0, middle), slices.slice(middle)];
    return { by: "halves", blocks: halves.map((half) => subBlock(block, half)) };
  }
  const [only] = slices;
  if (only === undefined || !spans[only.span]?.divisible || only.length <= LEAST_PART) {
    return undefined;
  }
  const size = Math.ceil(only.length / 2);
  const parts = [
    { ...only, length: size },
    { ...only, offset: only.offset + size, from: only.from + size, length: only.length - size },
  ];
  return { by: "parts", blocks: parts.map((part) => subBlock(block, [part])) };
}

/** Slices that follow each other without a gap. */
function runsOf(slices: readonly Slice[]): readonly (readonly Slice[])[] {
  const runs: Slice[][] = [];
  let end = -1;
  for (const slice of slices) {
    const last = runs.at(-1);
    if (last === undefined || slice.offset > end) {
      runs.push([slice]);
    } else {
      last.push(slice);
    }
    end = Math.max(end, slice.offset + slice.length);
  }
  return runs;
}

function subBlock(block: Block, slices: readonly Slice[]): Block {
  const start = slices[0]?.offset ?? 0;
  const end = slices.reduce((most, { offset, length }) => Math.max(most, offset + length), 0);
  return {
    first: block.first + start,
    length: end - start,
    slices: slices.map((slice) => ({ ...slice, offset: slice.offset - start })),
  };
}

/** Lengths a device is tried with when it refuses longer requests. */
const LENGTH_STEPS = [100, 64, 32, 16, 8];

/** The next lower limit for a device that refused `length` and answered shorter requests. */
export function lowerLimit(length: number): number {
  return LENGTH_STEPS.find((step) => step < length) ?? LEAST_PART;
}
