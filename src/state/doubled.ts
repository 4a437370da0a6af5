/** An array with the same words and room for as many more, which are zero. */
export function doubled(words: Int32Array): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(2 * words.length)
  larger.set(words)
  return larger
}
