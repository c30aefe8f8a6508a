import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/** Verifies Consign's callbacks: Standard Webhooks with Java's own crypto alone. */
final class Verify {
    static final long TOLERANCE_SECONDS = 5 * 60;

    /** `headers` has lower-case names; `secrets` are the endpoint's `whsec_…` texts (two while one is rotated). */
    static boolean verify(byte[] body, Map<String, String> headers, List<String> secrets, long now)
            throws GeneralSecurityException {
        String id = headers.getOrDefault("webhook-id", ""), at = headers.getOrDefault("webhook-timestamp", "");
        if (id.isEmpty() || !at.matches("[0-9]{1,12}")) return false;
        if (Math.abs(now - Long.parseLong(at)) > TOLERANCE_SECONDS) return false; // somebody may have kept it
        for (String secret : secrets) {
            Mac mac = Mac.getInstance("HmacSHA256");
            mac.init(new SecretKeySpec(Base64.getDecoder().decode(secret.replaceFirst("^whsec_", "")), "HmacSHA256"));
            mac.update((id + "." + at + ".").getBytes(StandardCharsets.UTF_8));
            byte[] want = ("v1," + Base64.getEncoder().encodeToString(mac.doFinal(body))).getBytes(StandardCharsets.UTF_8);
            for (String given : headers.getOrDefault("webhook-signature", "").split(" "))
                if (MessageDigest.isEqual(given.getBytes(StandardCharsets.UTF_8), want)) return true;
        }
        return false;
    }
}
