// Signatures and digests: those of the standards, and so those of the Rust member.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { Covers, Proof, Proofs } from "../src/courier/proof.js";
import { fromHex, isKey, toHex } from "../src/id.js";
import { SIGNED_CHUNKS } from "../src/limits.js";
import { sha256 } from "../src/sha256.js";
import { sha512 } from "../src/sha512.js";
import { LibrarySigner, Signer } from "../src/signer.js";

test("hashes are SHA-256 and SHA-512, whatever the length", () => {
  const bytes = Uint8Array.from({ length: 300 }, (_, n) => (n * 7) & 255);
  for (const length of [0, 1, 16, 55, 56, 63, 64, 65, 111, 112, 113, 119, 120, 127, 128, 129, 239, 240, 300]) {
    const message = bytes.subarray(0, length);
    for (const [name, hash] of [["sha256", sha256], ["sha512", sha512]]) {
      assert.equal(toHex(hash(message)), createHash(name).update(message).digest("hex"), `${name} ${length}`);
    }
  }
});

test("what one signs all verify, and nothing else, by WebCrypto and by the library", async () => {
  const kinds = [Signer, LibrarySigner];
  for (const [ours, theirs] of kinds.flatMap((kind) => kinds.map((other) => [kind, other]))) {
    const [ada, eve] = [await ours.create(), await theirs.create()];
    assert.ok(ada instanceof ours && eve instanceof theirs && isKey(ada.key) && ada.key !== eve.key);
    const text = new TextEncoder().encode("roomful");
    const signature = await ada.sign(text);
    assert.equal(signature.length, 64);
    assert.ok(await eve.verify(ada.key, text, signature));
    assert.ok(!(await eve.verify(eve.key, text, signature)));
    assert.ok(!(await eve.verify(ada.key, text.subarray(1), signature)));
    assert.ok(!(await eve.verify("f".repeat(64), text, signature)));
  }
});

test("where WebCrypto does not know these signatures the library makes them", async (context) => {
  const none = () => Promise.reject(new DOMException("Unrecognized name.", "NotSupportedError"));
  context.mock.method(crypto.subtle, "generateKey", none);
  assert.ok((await Signer.create()) instanceof LibrarySigner);
});

test("the library is as it was published: @noble/ed25519 3.2.0", () => {
  const text = readFileSync(new URL("../src/vendor/noble-ed25519.js", import.meta.url));
  assert.equal(createHash("sha256").update(text).digest("hex"), "a4f631d1876b5d9e43a86cd71194ca27b5e1451edf4ba4db9a418f40a475569a");
});

test("signatures are those of RFC 8032", async () => {
  // Section 7.1, test 2.
  const key = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";
  const signature =
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da" +
    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00";
  for (const kind of [Signer, LibrarySigner]) {
    const signer = await kind.create();
    assert.ok(await signer.verify(key, Uint8Array.of(0x72), fromHex(signature)));
  }
});

/** That some chunks are somebody's. */
function proof(first, count) {
  const digests = Array.from({ length: count }, () => new Uint8Array(16));
  const signed = { stream: { origin: "0707070707070707" }, first, digests, signature: new Uint8Array(64) };
  return new Proof(signed, new Uint8Array(), false, "0707070707070707");
}

test("proofs stand in order and the newest counts", () => {
  const proofs = new Proofs();
  for (const [first, count] of [[9, 4], [1, 4], [5, 2]]) proofs.keep(proof(first, count));
  assert.deepEqual([1, 4, 5, 6, 7, 9, 13].map((seq) => proofs.of(seq)?.first), [1, 1, 5, 5, undefined, 9, undefined]);
  assert.deepEqual([proofs.after(6)?.first, proofs.end, proofs.lastBelow(8)], [9, 13, 5]);
  proofs.keep(proof(4, 4));
  assert.deepEqual([3, 4, 7, 8].map((seq) => proofs.of(seq)?.first), [undefined, 4, 4, undefined]);
  assert.equal(proofs.settle(4, true), undefined);
  assert.ok(proofs.of(5)?.checked && proofs.settle(9, false) && !proofs.of(9));
  proofs.trim(8);
  assert.equal(proofs.end, 0);
});

test("only the last cover has nothing that waits", () => {
  const covers = new Covers();
  covers.show(proof(1, 2));
  covers.show(proof(3, 2));
  assert.equal(covers.queue.length, 1);
  covers.queue[0].waiting.push({ data: undefined, frame: new Uint8Array() });
  covers.show(proof(5, 2));
  assert.equal(covers.queue.length, 2);
  assert.equal(Array.from({ length: SIGNED_CHUNKS }, () => covers.miss()).filter(Boolean).length, SIGNED_CHUNKS - 1);
});
