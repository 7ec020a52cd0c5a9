// Avro's own verdict on pairs of schemas: a line "reader<tab>writer" in, a line out:
//   compatible | incompatible<tab>RULE LOCATION<tab>... | throws<tab>message | invalid<tab>message
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import org.apache.avro.AvroRuntimeException;
import org.apache.avro.Schema;
import org.apache.avro.SchemaCompatibility;
import org.apache.avro.SchemaCompatibility.Incompatibility;
import org.apache.avro.SchemaCompatibility.SchemaCompatibilityResult;

public class Compatibility {
    public static void main(String[] args) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        PrintStream out = new PrintStream(System.out, false, "UTF-8");
        for (String line; (line = in.readLine()) != null;) {
            String[] texts = line.split("\t");
            out.println(answer(texts[0], texts[1]));
        }
        out.flush();
    }

    private static String answer(String readerText, String writerText) {
        Schema reader;
        Schema writer;
        try {
            reader = new Schema.Parser().parse(readerText);
            writer = new Schema.Parser().parse(writerText);
        } catch (RuntimeException e) {
            return "invalid\t" + oneLine(e);
        }
        try {
            SchemaCompatibilityResult result = SchemaCompatibility.checkReaderWriterCompatibility(reader, writer).getResult();
            StringBuilder text = new StringBuilder(result.getCompatibility().name().toLowerCase());
            for (Incompatibility one : result.getIncompatibilities())
                text.append('\t').append(one.getType()).append(' ').append(one.getLocation());
            return text.toString();
        } catch (AvroRuntimeException e) {
            return "throws\t" + oneLine(e);
        }
    }

    private static String oneLine(RuntimeException e) {
        return String.valueOf(e.getMessage()).replaceAll("\\s+", " ");
    }
}
