/**
 * The one of `names` that `word` is most likely a misspelling of: the fewest letters to insert,
 * delete, replace or swap with the next, where upper and lower case are the same. Undefined when
 * more than half of the letters differ.
 */
export function nearest(word: string, names: readonly string[]): string | undefined {
  // An option's name is short: of a longer word the rest makes no difference.
  const given = word.slice(0, MAX_LENGTH).toLowerCase();
  let best: string | undefined;
  let least = Number.POSITIVE_INFINITY;
  for (const name of names) {
    const distance = editDistance(given, name.toLowerCase());
    if (distance < least && distance <= Math.max(given.length, name.length) / 2) {
      best = name;
      least = distance;
    }
  }
  return best;
}

const MAX_LENGTH = 64;

function editDistance(a: string, b: string): number {
  // rows[i][j]: the distance of the first i letters of a from the first j letters of b.
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, j) => j)];
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    const above = rows[i - 1]!;
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let distance = Math.min(above[j]! + 1, row[j - 1]! + 1, above[j - 1]! + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        distance = Math.min(distance, rows[i - 2]![j - 2]! + 1);
      }
      row.push(distance);
    }
    rows.push(row);
  }
  return rows[a.length]![b.length]!;
}
