// Keeps a table of the newest state of each key, from topics that outbox_ext publishes. docs/consumers.md explains the
// rules; each is named where the code keeps it. The table is in memory and begins anew at each start: state_table.py
// beside this file shows how state and offsets are stored together.
//
//   java -cp 'kafka-clients.jar:avro.jar:...' StateTable.java broker:9092 http://registry:8081 crm.customers shop.customer.customerdeleted
//
// Arguments: brokers, registry, topics, and the ce_types of events that say that a row is gone (separated by commas).
// It stops at the present ends of the partitions and prints the state, a JSON object per line.
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.*;
import org.apache.avro.Conversions;
import org.apache.avro.Schema;
import org.apache.avro.data.TimeConversions;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.DecoderFactory;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.StringDeserializer;

public class StateTable {
    /** What is known of a key. row == null: the row is gone; the sequence is kept, so that an older event does not bring it back. */
    private record State(String sequence, Map<String, Object> row) {}

    private static final DateTimeFormatter MICROS = DateTimeFormatter.ofPattern("yyyy-MM-dd'T'HH:mm:ss.SSSSSS'Z'").withZone(ZoneOffset.UTC);
    private static final ObjectMapper JSON = new ObjectMapper();

    private final Map<List<String>, State> states = new TreeMap<>(Comparator.comparing((List<String> k) -> k.get(0)).thenComparing(k -> k.get(1)));
    private final Map<String, String> seen = new HashMap<>(); // ce_id -> ce_type
    private final Map<Integer, Schema> schemas = new HashMap<>();
    private final HttpClient http = HttpClient.newHttpClient();
    private final GenericData values = new GenericData();
    private final String registry;
    private final Set<String> deleted;

    StateTable(String registry, Set<String> deleted) {
        this.registry = registry;
        this.deleted = deleted;
        // Without these a decimal is bytes, an instant a number of microseconds.
        values.addLogicalTypeConversion(new Conversions.DecimalConversion());
        values.addLogicalTypeConversion(new Conversions.UUIDConversion());
        values.addLogicalTypeConversion(new TimeConversions.DateConversion());
        values.addLogicalTypeConversion(new TimeConversions.TimeMicrosConversion());
        values.addLogicalTypeConversion(new TimeConversions.TimestampMicrosConversion());
    }

    /** One message: the state of its key afterwards is the same however often and however late the message comes. */
    void apply(ConsumerRecord<String, byte[]> message) throws Exception {
        List<String> place = List.of(message.topic(), message.key() == null ? "" : message.key());
        String sequence = header(message, "ce_sequence");
        State known = states.get(place);

        // Superseded: the event that came before this one says how the row is now.
        if ("true".equals(header(message, "ce_superseded")))
            return;
        // Older than what is known: a duplicate, a replay, or a redriven event that others of its key overtook.
        // An equal sequence is the same event, or the tombstone that follows it.
        if (known != null && sequence.compareTo(known.sequence()) < 0)
            return;
        // A null value (tombstone) and an event of a deleted row take the row away.
        boolean gone = message.value() == null || deleted.contains(header(message, "ce_type"));
        states.put(place, new State(sequence, gone ? null : row(decode(message.value()))));
    }

    /** What must happen once per event (a mail, a booking) needs the ids that were seen. A tombstone is no event of its own. */
    void count(ConsumerRecord<String, byte[]> message) {
        if (message.value() != null)
            seen.putIfAbsent(header(message, "ce_id"), header(message, "ce_type"));
    }

    private static String header(ConsumerRecord<String, byte[]> message, String name) {
        Header header = message.headers().lastHeader(name);
        return header == null ? null : new String(header.value(), StandardCharsets.UTF_8);
    }

    /** Confluent framing: a zero byte, the schema's number in four bytes, the Avro record. */
    private GenericRecord decode(byte[] value) throws Exception {
        ByteBuffer frame = ByteBuffer.wrap(value);
        if (frame.get() != 0)
            throw new IllegalArgumentException("not Confluent framing: does the sink have a schema.registry.url?");
        Schema schema = schema(frame.getInt());
        return new GenericDatumReader<GenericRecord>(schema, schema, values)
            .read(null, DecoderFactory.get().binaryDecoder(value, 5, value.length - 5, null));
    }

    /** The writer's schema. A number never changes its meaning, so each is asked for once. */
    private Schema schema(int number) throws Exception {
        if (!schemas.containsKey(number)) {
            HttpRequest request = HttpRequest.newBuilder(URI.create(registry + "/schemas/ids/" + number)).timeout(Duration.ofSeconds(30)).build();
            HttpResponse<String> answer = http.send(request, HttpResponse.BodyHandlers.ofString());
            if (answer.statusCode() != 200)
                throw new IllegalStateException("the registry answers " + answer.statusCode() + " for schema " + number);
            schemas.put(number, new Schema.Parser().parse(JSON.readTree(answer.body()).get("schema").asText()));
        }
        return schemas.get(number);
    }

    private static Map<String, Object> row(GenericRecord record) {
        Map<String, Object> row = new TreeMap<>();
        for (Schema.Field field : record.getSchema().getFields())
            row.put(field.name(), plain(record.get(field.pos())));
        return row;
    }

    /** What JSON has no type for becomes exact text; a decimal never a double. */
    private static Object plain(Object value) {
        if (value == null || value instanceof Number && !(value instanceof java.math.BigDecimal) || value instanceof Boolean)
            return value;
        if (value instanceof GenericRecord record)
            return row(record);
        if (value instanceof Collection<?> items)
            return items.stream().map(StateTable::plain).toList();
        if (value instanceof java.math.BigDecimal decimal)
            return decimal.toPlainString();
        if (value instanceof Instant instant)
            return MICROS.format(instant);
        if (value instanceof Map<?, ?> map) {
            Map<String, Object> copy = new TreeMap<>();
            map.forEach((k, v) -> copy.put(k.toString(), plain(v)));
            return copy;
        }
        if (value instanceof ByteBuffer bytes)
            return HexFormat.of().formatHex(bytes.array(), bytes.position(), bytes.limit());
        return value.toString();
    }

    void print() throws Exception {
        for (Map.Entry<List<String>, State> entry : states.entrySet()) {
            if (entry.getValue().row() != null)
                System.out.println(JSON.writeValueAsString(JsonNodeFactory.instance.objectNode().put("topic", entry.getKey().get(0))
                    .put("key", entry.getKey().get(1)).set("row", JSON.valueToTree(entry.getValue().row()))));
        }
        Map<String, Integer> counts = new TreeMap<>();
        seen.values().forEach(type -> counts.merge(type, 1, Integer::sum));
        for (Map.Entry<String, Integer> entry : counts.entrySet())
            System.out.println(JSON.writeValueAsString(JsonNodeFactory.instance.objectNode().put("type", entry.getKey()).put("events", entry.getValue())));
    }

    public static void main(String[] args) throws Exception {
        StateTable table = new StateTable(args[1].replaceAll("/+$", ""), Set.of(args[3].split(",")));
        Properties properties = new Properties();
        properties.put(ConsumerConfig.BOOTSTRAP_SERVERS_CONFIG, args[0]);
        properties.put(ConsumerConfig.ENABLE_AUTO_COMMIT_CONFIG, "false");

        try (KafkaConsumer<String, byte[]> consumer = new KafkaConsumer<>(properties, new StringDeserializer(), new ByteArrayDeserializer())) {
            List<TopicPartition> partitions = new ArrayList<>();
            for (String topic : args[2].split(","))
                consumer.partitionsFor(topic).forEach(p -> partitions.add(new TopicPartition(p.topic(), p.partition())));
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
            while (partitions.stream().anyMatch(p -> consumer.position(p) < ends.get(p))) {
                for (ConsumerRecord<String, byte[]> message : consumer.poll(Duration.ofSeconds(1))) {
                    table.apply(message);
                    table.count(message);
                }
            }
        }
        table.print();
    }
}
