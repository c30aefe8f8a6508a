import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Each line is a row in base64: its name, what is to come of it, the time, the secrets, the body, then headers. */
final class Run {
    static String text(String base64) {
        return new String(Base64.getDecoder().decode(base64), StandardCharsets.UTF_8);
    }

    public static void main(String[] args) throws Exception {
        for (String line : Files.readAllLines(Path.of(System.getenv("VECTOR_LINES")))) {
            String[] row = line.split("\t", -1);
            Map<String, String> headers = new HashMap<>();
            for (int at = 5; at < row.length; at += 2) headers.put(text(row[at]), text(row[at + 1]));
            List<String> secrets = List.of(text(row[3]).split(" "));
            byte[] body = Base64.getDecoder().decode(row[4]);
            boolean found = Verify.verify(body, headers, secrets, Long.parseLong(text(row[2])));
            if (found != Boolean.parseBoolean(text(row[1]))) throw new AssertionError(text(row[0]));
            System.out.println(text(row[0]));
        }
    }
}
