# Verifies Consign's callbacks: Standard Webhooks with Ruby's own openssl alone.
require "openssl"

TOLERANCE_SECONDS = 5 * 60

# `body` as it came, `headers` with lower-case names, `secrets` the endpoint's `whsec_…` texts.
def verify(body, headers, secrets, now = Time.now.to_i)
  id, at = headers["webhook-id"].to_s, headers["webhook-timestamp"].to_s
  return false if id.empty? || !at.match?(/\A[0-9]{1,12}\z/)
  return false if (now - at.to_i).abs > TOLERANCE_SECONDS # somebody else may have kept it

  wanted = secrets.map do |secret|
    key = secret.delete_prefix("whsec_").unpack1("m")
    "v1," + [OpenSSL::HMAC.digest("SHA256", key, "#{id}.#{at}.".b + body.b)].pack("m0")
  end
  given = headers["webhook-signature"].to_s.split(" ")
  given.any? { |one| wanted.any? { |want| OpenSSL.secure_compare(one, want) } }
end
