/* The limit: rabbitmq-c, one thread, up to IN_FLIGHT messages unconfirmed; acknowledgements in batches.
 *
 * bench publish|deliver host port user password vhost exchange queue events warm_up in_flight messages
 *
 * Says "ready" once connected, waits for a line, works, prints one line of JSON (see benchmarks/task.py).
 */
#include <amqp.h>
#include <amqp_framing.h>
#include <amqp_tcp_socket.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum { CHANNEL = 1, MAX_MESSAGES = 100000, ACKNOWLEDGE_EVERY = 100, PREFETCH = 1000 };

static struct { amqp_bytes_t key, body; } messages[MAX_MESSAGES];
static size_t message_count;

static void fail(const char *what) {
    fprintf(stderr, "%s\n", what);
    exit(1);
}

static void check(amqp_connection_state_t connection, const char *what) {
    if (amqp_get_rpc_reply(connection).reply_type != AMQP_RESPONSE_NORMAL) fail(what);
}

static double wall_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec + now.tv_nsec / 1e9;
}

static double cpu_seconds(void) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return used.ru_utime.tv_sec + used.ru_stime.tv_sec + (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

static void read_messages(const char *path) {
    FILE *file = fopen(path, "r");
    char *line = NULL;
    size_t capacity = 0;
    ssize_t length;
    if (!file) fail("cannot open the messages");
    while (message_count < MAX_MESSAGES && (length = getline(&line, &capacity, file)) > 0) {
        char *tab = memchr(line, '\t', length);
        if (!tab) fail("no tab in a message");
        line[length - 1] = *tab = '\0';
        messages[message_count].key = amqp_bytes_malloc_dup(amqp_cstring_bytes(line));
        messages[message_count].body = amqp_bytes_malloc_dup(amqp_cstring_bytes(tab + 1));
        message_count++;
    }
    free(line);
    fclose(file);
    if (!message_count) fail("no messages");
}

/* Which sequences are confirmed: brokers confirm one, or all up to one, in any order. */
static struct { unsigned char *is_confirmed; uint64_t lowest_open, open; } window;

static void settle(uint64_t sequence) {
    if (window.is_confirmed[sequence]) return;
    window.is_confirmed[sequence] = 1;
    window.open--;
}

static void read_confirm(amqp_connection_state_t connection) {
    amqp_frame_t frame;
    if (amqp_simple_wait_frame(connection, &frame) != AMQP_STATUS_OK) fail("connection lost");
    if (frame.frame_type != AMQP_FRAME_METHOD) return;
    if (frame.payload.method.id != AMQP_BASIC_ACK_METHOD) fail("a message was not confirmed");
    const amqp_basic_ack_t *ack = frame.payload.method.decoded;
    if (ack->multiple)
        while (window.lowest_open <= ack->delivery_tag) settle(window.lowest_open++);
    else
        settle(ack->delivery_tag);
    amqp_maybe_release_buffers_on_channel(connection, CHANNEL);
}

/* Publish messages number first to last, return when all are confirmed. */
static void publish(amqp_connection_state_t connection, const char *exchange, uint64_t first, uint64_t last,
                    uint64_t in_flight) {
    char message_id[24];
    amqp_basic_properties_t properties = {0};
    properties._flags = AMQP_BASIC_CONTENT_TYPE_FLAG | AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_MESSAGE_ID_FLAG;
    properties.content_type = amqp_cstring_bytes("application/json");
    properties.delivery_mode = AMQP_DELIVERY_PERSISTENT;
    for (uint64_t sequence = first; sequence <= last || window.open;) {
        for (; sequence <= last && window.open < in_flight; sequence++) {
            size_t index = sequence % message_count;
            snprintf(message_id, sizeof message_id, "%llu", (unsigned long long)sequence);
            properties.message_id = amqp_cstring_bytes(message_id);
            window.open++;
            if (amqp_basic_publish(connection, CHANNEL, amqp_cstring_bytes(exchange), messages[index].key, 0, 0,
                                   &properties, messages[index].body) != AMQP_STATUS_OK)
                fail("publish failed");
        }
        read_confirm(connection);
    }
}

static void print_figures(double wall, double cpu) {
    printf("{\"seconds\": %.6f, \"cpu_seconds\": %.6f}\n", wall_seconds() - wall, cpu_seconds() - cpu);
    fflush(stdout);
}

static void deliver(amqp_connection_state_t connection, const char *queue, long events, long warm_up) {
    double wall = 0, cpu = 0;
    amqp_basic_qos(connection, CHANNEL, 0, PREFETCH, 0);
    check(connection, "basic.qos refused");
    amqp_basic_consume(connection, CHANNEL, amqp_cstring_bytes(queue), amqp_empty_bytes, 0, 0, 0, amqp_empty_table);
    check(connection, "basic.consume refused");
    for (long count = 1; count <= warm_up + events; count++) {
        amqp_envelope_t envelope;
        amqp_maybe_release_buffers(connection);
        if (amqp_consume_message(connection, &envelope, NULL, 0).reply_type != AMQP_RESPONSE_NORMAL)
            fail("connection lost");
        if (count % ACKNOWLEDGE_EVERY == 0 &&
            amqp_basic_ack(connection, CHANNEL, envelope.delivery_tag, 1) != AMQP_STATUS_OK)
            fail("acknowledgement failed");
        amqp_destroy_envelope(&envelope);
        if (count == warm_up) {
            wall = wall_seconds();
            cpu = cpu_seconds();
        }
    }
    print_figures(wall, cpu);
}

int main(int argc, char **argv) {
    char line[16];
    if (argc != 13) fail("usage: see the top of bench.c");
    const char *mode = argv[1], *exchange = argv[7], *queue = argv[8];
    const long events = atol(argv[9]), warm_up = atol(argv[10]), in_flight = atol(argv[11]);
    read_messages(argv[12]);

    amqp_connection_state_t connection = amqp_new_connection();
    amqp_socket_t *socket = amqp_tcp_socket_new(connection);
    if (!socket || amqp_socket_open(socket, argv[2], atoi(argv[3])) != AMQP_STATUS_OK) fail("cannot connect");
    if (amqp_login(connection, argv[6], 0, AMQP_DEFAULT_FRAME_SIZE, 0, AMQP_SASL_METHOD_PLAIN, argv[4], argv[5])
            .reply_type != AMQP_RESPONSE_NORMAL)
        fail("login refused");
    amqp_channel_open(connection, CHANNEL);
    check(connection, "channel refused");
    amqp_confirm_select(connection, CHANNEL);
    check(connection, "confirm.select refused");

    puts("ready");
    fflush(stdout);
    if (!fgets(line, sizeof line, stdin)) fail("the parent is gone");
    if (strcmp(mode, "publish") == 0) {
        window.is_confirmed = calloc(warm_up + events + 1, 1);
        window.lowest_open = 1;
        if (!window.is_confirmed) fail("no memory");
        publish(connection, exchange, 1, warm_up, in_flight);
        double wall = wall_seconds(), cpu = cpu_seconds();
        publish(connection, exchange, warm_up + 1, warm_up + events, in_flight);
        print_figures(wall, cpu);
    } else {
        deliver(connection, queue, events, warm_up);
    }
    amqp_connection_close(connection, AMQP_REPLY_SUCCESS);
    amqp_destroy_connection(connection);
    return 0;
}
