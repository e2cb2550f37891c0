import java.time.Duration;
import java.util.*;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.*;
import org.apache.kafka.common.serialization.*;

/** What the Java client does with a Kafka cluster, done with the stream at the address given. */
public class Everything {
    static String address;

    public static void main(String[] args) throws Exception {
        address = args[0];
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", address))) {
            admin.createTopics(List.of(new NewTopic("j", 4, (short) 1), new NewTopic("one", 1, (short) 1),
                    new NewTopic("out", 2, (short) 1))).all().get();
            check(admin.listTopics().names().get().containsAll(Set.of("j", "one", "out")), "topics are listed");
            check(admin.describeTopics(List.of("j")).allTopicNames().get().get("j").partitions().size() == 4, "four partitions");
        }
        everyCodec();
        timesAndEnds();
        transactions();
        fenced();
        System.out.println("all good");
    }

    static void check(boolean good, String what) {
        if (!good) throw new AssertionError(what);
    }

    static KafkaProducer<String, byte[]> producer(Map<String, Object> more) {
        Map<String, Object> settings = new HashMap<>(Map.of("bootstrap.servers", address));
        settings.putAll(more);
        return new KafkaProducer<>(settings, new StringSerializer(), new ByteArraySerializer());
    }

    static KafkaConsumer<String, byte[]> consumer(String group, Map<String, Object> more) {
        Map<String, Object> settings = new HashMap<>(Map.of("bootstrap.servers", address, "group.id", group,
                "auto.offset.reset", "earliest", "enable.auto.commit", "false"));
        settings.putAll(more);
        return new KafkaConsumer<>(settings, new StringDeserializer(), new ByteArrayDeserializer());
    }

    static int read(KafkaConsumer<String, byte[]> consumer, int wanted, int seconds) {
        int seen = 0;
        long until = System.currentTimeMillis() + 1000L * seconds;
        while (seen < wanted && System.currentTimeMillis() < until) seen += consumer.poll(Duration.ofMillis(200)).count();
        return seen;
    }

    static void everyCodec() throws Exception {
        byte[] value = new byte[60_000];
        new Random(1).nextBytes(value);
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
            try (var producer = producer(Map.of("compression.type", codec, "enable.idempotence", true))) {
                for (int i = 0; i < 100; i++) producer.send(new ProducerRecord<>("j", "key" + i, value));
                producer.flush();
            }
        }
        try (var consumer = consumer("java", Map.of())) {
            consumer.subscribe(List.of("j"));
            check(read(consumer, 500, 60) == 500, "all five codecs are read");
            consumer.commitSync();
            var ends = consumer.endOffsets(consumer.assignment());
            check(ends.values().stream().mapToLong(n -> n).sum() == 500, "the ends add up");
        }
        try (var consumer = consumer("java", Map.of())) {
            consumer.subscribe(List.of("j"));
            check(read(consumer, 1, 3) == 0, "everything was committed");
        }
    }

    static void timesAndEnds() throws Exception {
        var partition = new TopicPartition("one", 0);
        try (var producer = producer(Map.of("max.request.size", 12_000_000, "buffer.memory", 40_000_000))) {
            for (int i = 0; i < 10; i++)
                producer.send(new ProducerRecord<>("one", 0, 1_000L * (i + 1), "k", new byte[] {1})).get();
            producer.send(new ProducerRecord<>("one", 0, 20_000L, "k", new byte[10_000_000])).get();
        }
        try (var consumer = consumer("java-times", Map.of())) {
            consumer.assign(List.of(partition));
            check(consumer.offsetsForTimes(Map.of(partition, 5_500L)).get(partition).offset() == 5, "a time is found");
            check(consumer.offsetsForTimes(Map.of(partition, 99_000L)).get(partition) == null, "a future time is not");
            consumer.seek(partition, 10);
            check(read(consumer, 1, 30) == 1, "a message of 10 MB is read");
        }
    }

    static void transactions() throws Exception {
        var partition = new TopicPartition("one", 0);
        try (var producer = producer(Map.of("transactional.id", "java")); var worker = consumer("worker", Map.of())) {
            worker.subscribe(List.of("one"));
            check(read(worker, 11, 30) == 11, "the worker reads its input");
            producer.initTransactions();
            for (int round = 0; round < 4; round++) {
                producer.beginTransaction();
                for (int i = 0; i < 50; i++) producer.send(new ProducerRecord<>("out", i % 2, "k", new byte[] {(byte) round}));
                producer.sendOffsetsToTransaction(Map.of(partition, new OffsetAndMetadata(round + 1)), worker.groupMetadata());
                // An abort drops what was not sent yet.
                producer.flush();
                if (round % 2 == 0) producer.commitTransaction(); else producer.abortTransaction();
            }
            check(worker.committed(Set.of(partition)).get(partition).offset() == 3, "offsets of the last commit");
        }
        check(count("read_committed") == 100, "aborted messages are hidden");
        check(count("read_uncommitted") == 200, "and there");
    }

    static int count(String isolation) {
        try (var consumer = consumer("counter-" + isolation, Map.of("isolation.level", isolation))) {
            consumer.subscribe(List.of("out"));
            return read(consumer, 201, 6);
        }
    }

    static void fenced() throws Exception {
        try (var zombie = producer(Map.of("transactional.id", "twice")); var next = producer(Map.of("transactional.id", "twice"))) {
            zombie.initTransactions();
            zombie.beginTransaction();
            zombie.send(new ProducerRecord<>("out", 0, "k", new byte[] {9})).get();
            next.initTransactions();
            try {
                zombie.commitTransaction();
                throw new AssertionError("the zombie committed");
            } catch (ProducerFencedException | InvalidProducerEpochException expected) {
                System.out.println("fenced: " + expected.getMessage());
            }
        }
    }
}
