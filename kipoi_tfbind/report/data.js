// Numbers of the sequences: unpacked, and by track.

const BASES = "ACGT";

const unpack = async (text) => {
  const binary = atob(text),
    bytes = new Uint8Array(binary.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const raw = new Uint8Array(await new Response(stream).arrayBuffer());
  const sizes = new DataView(raw.buffer);
  const textEnd = 8 + sizes.getUint32(0, true),
    n = sizes.getUint32(4, true);
  const data = JSON.parse(new TextDecoder().decode(raw.subarray(8, textEnd)));
  const low = raw.subarray(textEnd, textEnd + n),
    high = raw.subarray(textEnd + n);
  data.number = (i, step) => {
    const whole = (((high[i] << 8) | low[i]) << 16) >> 16;
    return whole === -32768 ? null : whole * step;
  };
  return data;
};

// The numbers of a track: scores by position, and what else its result has.
const expand = (data, one, track) => {
  const result = data.results[track.result];
  const [first, n] = result.positions.length ? result.positions : [0, result.list.length];
  const positions = result.list.length ? result.list : Array.from({ length: n }, (_, i) => first + i);
  let at = track.at,
    part = 0;
  const take = (count) => {
    const step = track.steps[part++];
    const values = Array.from({ length: count }, (_, i) => data.number(at + i, step));
    at += count;
    return values;
  };
  const made = { ...result, target: track.target, prediction: track.prediction, positions };
  made.index = new Map(positions.map((position, i) => [position, i]));
  if (result.map) made.bases = take(4 * n);
  // What follows from the numbers of the bases is not stored twice.
  const observed = (position) => BASES.indexOf(one.letters[position - one.first]);
  const derived = {
    mean: (i) => -[0, 1, 2, 3].reduce((sum, b) => sum + made.bases[4 * i + b], 0) / 3,
    observed: (i) => made.bases[4 * i + observed(positions[i])],
  };
  made.scores = result.derived
    ? positions.map((position, i) => (observed(position) < 0 ? null : derived[result.derived](i)))
    : take(n);
  if (result.windows) made.effects = take(result.windows[0].length);
  if (result.pairs) {
    made.epistasis = take(result.pairs[0].length);
    made.which = take(result.pairs[0].length);
  }
  return made;
};

const coordinateOf = (one, position) =>
  one.chrom === undefined ? position : one.strand === "-" ? one.end - position : one.start + 1 + position;
const labelOf = (one, position) =>
  one.chrom === undefined
    ? `position ${position} (0-based)`
    : `${one.chrom}:${grouped(coordinateOf(one, position))}`;
