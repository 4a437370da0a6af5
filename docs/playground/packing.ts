/** A text in an address: deflated, in base64url. */

/** The longest packed text that is put into an address. */
const MOST = 4000
/** The most characters that a packed text may become: a small one may claim to be huge. */
const MOST_UNPACKED = 200_000

async function through(
  bytes: Uint8Array<ArrayBuffer>,
  stream: GenericTransformStream,
): Promise<Uint8Array<ArrayBuffer>> {
  const piped = new Blob([bytes])
    .stream()
    .pipeThrough(stream as ReadableWritablePair<Uint8Array, Uint8Array<ArrayBuffer>>)
  return new Uint8Array(await new Response(piped).arrayBuffer())
}

/** The packed text; undefined if it is too long for an address. */
export async function packed(text: string): Promise<string | undefined> {
  const bytes = await through(new TextEncoder().encode(text), new CompressionStream('deflate-raw'))
  const base64 = btoa(String.fromCharCode(...bytes.subarray(0, MOST)))
  const url = base64.replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')
  return bytes.length > MOST || url.length > MOST ? undefined : url
}

/** The text; undefined if it is none. */
export async function unpacked(url: string): Promise<string | undefined> {
  try {
    const binary = atob(url.replaceAll('-', '+').replaceAll('_', '/'))
    const bytes = Uint8Array.from(binary, (each) => each.charCodeAt(0))
    const text = new TextDecoder().decode(await through(bytes, new DecompressionStream('deflate-raw')))
    return text.length > MOST_UNPACKED ? undefined : text
  } catch {
    return undefined
  }
}
