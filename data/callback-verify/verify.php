<?php
// Verifies Consign's callbacks: Standard Webhooks with PHP's own hash functions alone.

const TOLERANCE_SECONDS = 5 * 60;

/** `$body` as it came (php://input), `$headers` with lower-case names, `$secrets` the endpoint's `whsec_…` texts. */
function verify(string $body, array $headers, array $secrets, ?int $now = null): bool
{
    [$id, $at] = [$headers['webhook-id'] ?? '', $headers['webhook-timestamp'] ?? ''];
    if ($id === '' || !preg_match('/^[0-9]{1,12}\z/', $at)) return false;
    if (abs(($now ?? time()) - (int) $at) > TOLERANCE_SECONDS) return false; // somebody else may have kept it
    foreach ($secrets as $secret) {
        $key = base64_decode(preg_replace('/^whsec_/', '', $secret));
        $want = 'v1,' . base64_encode(hash_hmac('sha256', "$id.$at.$body", $key, true));
        foreach (explode(' ', $headers['webhook-signature'] ?? '') as $given) {
            if (hash_equals($want, $given)) return true;
        }
    }
    return false;
}
