/** An array of so many words; undefined if there is no memory for it. */
export function zeros(words: number): Int32Array<ArrayBuffer> | undefined {
  try {
    return new Int32Array(words)
  } catch (error) {
    if (error instanceof RangeError) return undefined
    throw error
  }
}
