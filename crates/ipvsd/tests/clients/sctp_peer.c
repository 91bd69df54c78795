/* Both ends of SCTP associations, by usrsctp over raw IP sockets: the kernels of test machines often have no SCTP.
 *
 *   sctp_peer serve ADDRESS PORT NAME [MTU] answers each message with NAME, a colon and the message, until it is killed
 *   sctp_peer ask LOCAL ADDRESS PORT COUNT [MTU]
 *                                           opens COUNT associations and exchanges messages on each; at a line on standard
 *                                           input waits for COUNT heartbeats to be answered, and does it once more on
 *                                           each; at the next line shuts them down
 *
 * MTU: no packet is longer, for ICMP errors are not heard.
 * Says "ready", and with `ask` after each step the servers' names in the order of the associations, then how many packets
 * had wrong checksums. Ends with status 1 at the first thing that is not as it should be, and by a signal when a step takes
 * longer than a minute: an association is not refused when nobody answers, but tried for long.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <usrsctp.h>

enum { LARGEST = 6000, NAME = 32, STEP = 60 };
/* Messages of a step: within a packet, of odd length, just above a packet, and several packets. */
static const size_t sizes[] = {1, 3, 100, 1391, 1453, LARGEST};

static void fail(const char *what) {
    fprintf(stderr, "sctp_peer: %s: %s\n", what, strerror(errno));
    exit(1);
}

static socklen_t address(const char *text, const char *port, struct sockaddr_storage *to) {
    struct sockaddr_in *four = (struct sockaddr_in *)to;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)to;
    memset(to, 0, sizeof *to);
    if (inet_pton(AF_INET, text, &four->sin_addr) == 1) {
        four->sin_family = AF_INET;
        four->sin_port = htons(atoi(port));
        return sizeof *four;
    }
    if (inet_pton(AF_INET6, text, &six->sin6_addr) != 1) fail(text);
    six->sin6_family = AF_INET6;
    six->sin6_port = htons(atoi(port));
    return sizeof *six;
}

/* No packet is to be longer; 0: as the interface says. */
static uint32_t mtu;

/* A socket that has one address only: a packet translator does not translate those within chunks. */
static struct socket *bound(const char *local, const char *port) {
    struct sockaddr_storage at;
    socklen_t length = address(local, port, &at);
    struct socket *it = usrsctp_socket(at.ss_family, SOCK_STREAM, IPPROTO_SCTP, NULL, NULL, 0, NULL);
    if (!it) fail("socket");
    if (mtu) {
        struct sctp_paddrparams path = {.spp_pathmtu = mtu, .spp_flags = SPP_PMTUD_DISABLE};
        if (usrsctp_setsockopt(it, IPPROTO_SCTP, SCTP_PEER_ADDR_PARAMS, &path, sizeof path) < 0) fail("path MTU");
    }
    if (usrsctp_bind(it, (struct sockaddr *)&at, length) < 0) fail("bind");
    return it;
}

/* A whole message; 0 at the end of the association. */
static size_t receive(struct socket *it, char *to, size_t room) {
    size_t have = 0;
    for (;;) {
        struct sockaddr_storage from;
        struct sctp_rcvinfo info;
        socklen_t from_length = sizeof from, info_length = sizeof info;
        unsigned kind = 0;
        int flags = 0;
        ssize_t more = usrsctp_recvv(it, to + have, room - have, (struct sockaddr *)&from, &from_length, &info,
                                     &info_length, &kind, &flags);
        if (more < 0) fail("receive");
        if (more == 0) return 0;
        have += more;
        if (flags & MSG_EOR) return have;
        if (have == room) fail("a message that is too long");
    }
}

static void send_all(struct socket *it, const char *bytes, size_t length) {
    if (usrsctp_sendv(it, bytes, length, NULL, 0, NULL, 0, 0, 0) != (ssize_t)length) fail("send");
}

static const char *name;

static void *answer(void *it) {
    char message[NAME + 1 + LARGEST];
    size_t prefix = strlen(name) + 1, length;
    memcpy(message, name, prefix - 1);
    message[prefix - 1] = ':';
    while ((length = receive(it, message + prefix, LARGEST)) > 0) send_all(it, message, prefix + length);
    usrsctp_close(it);
    return NULL;
}

static void serve(const char *at, const char *port) {
    struct socket *listener = bound(at, port);
    if (usrsctp_listen(listener, 64) < 0) fail("listen");
    puts("ready");
    for (;;) {
        pthread_t thread;
        struct socket *it = usrsctp_accept(listener, NULL, NULL);
        if (!it) fail("accept");
        if (pthread_create(&thread, NULL, answer, it) != 0) fail("thread");
        pthread_detach(thread);
    }
}

/* Every message comes back, behind the name of the one server that this association has. */
static void exchange(struct socket *it, char *server, unsigned seed) {
    for (size_t step = 0; step < sizeof sizes / sizeof *sizes; step++) {
        char sent[LARGEST], got[NAME + 1 + LARGEST];
        size_t size = sizes[step];
        for (size_t at = 0; at < size; at++) sent[at] = (seed = seed * 1103515245 + 12345) >> 16;
        send_all(it, sent, size);
        size_t length = receive(it, got, sizeof got);
        size_t prefix = length > size ? length - size : 0;
        if (prefix == 0 || prefix > NAME || got[prefix - 1] != ':' || memcmp(got + prefix, sent, size) != 0) fail("answer");
        got[prefix - 1] = 0;
        if (*server && strcmp(server, got) != 0) fail("another server");
        strcpy(server, got);
    }
}

static unsigned heartbeats(void) {
    struct sctpstat seen;
    usrsctp_get_stat(&seen);
    return seen.sctps_recvheartbeatack;
}

/* Is silent until so many heartbeats were answered. */
static void rest(unsigned wanted) {
    while (heartbeats() < wanted) usleep(100000);
}

static void say(char (*servers)[NAME + 1], int count) {
    struct sctpstat seen;
    usrsctp_get_stat(&seen);
    for (int at = 0; at < count; at++) printf("%s ", servers[at]);
    printf("wrong-checksums %u\n", seen.sctps_badsum);
    alarm(STEP);
}

static void ask(const char *local, const char *to, const char *port, int count) {
    struct socket *it[count];
    char servers[count][NAME + 1];
    struct sockaddr_storage at;
    socklen_t length = address(to, port, &at);
    puts("ready");
    alarm(STEP);
    for (int number = 0; number < count; number++) {
        servers[number][0] = 0;
        it[number] = bound(local, "0");
        if (usrsctp_connect(it[number], (struct sockaddr *)&at, length) < 0) fail("connect");
        exchange(it[number], servers[number], number);
    }
    say(servers, count);
    if (getchar() == EOF) fail("input");
    rest(count);
    for (int number = 0; number < count; number++) exchange(it[number], servers[number], ~number);
    say(servers, count);
    if (getchar() == EOF) fail("input");
    for (int number = 0; number < count; number++) {
        char byte;
        if (usrsctp_shutdown(it[number], SHUT_WR) < 0) fail("shutdown");
        if (receive(it[number], &byte, 1) != 0) fail("more than an end");
        usrsctp_close(it[number]);
    }
    say(servers, count);
}

int main(int argc, char **argv) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    usrsctp_init(0, NULL, NULL);
    /* Checksums everywhere, and heartbeats soon. */
    usrsctp_sysctl_set_sctp_no_csum_on_loopback(0);
    usrsctp_sysctl_set_sctp_heartbeat_interval_default(300);
    if (argc >= 5 && argc <= 6 && !strcmp(argv[1], "serve") && strlen(argv[4]) < NAME) {
        if (argc == 6) mtu = atoi(argv[5]);
        name = argv[4];
        serve(argv[2], argv[3]);
    } else if (argc >= 6 && argc <= 7 && !strcmp(argv[1], "ask") && atoi(argv[5]) > 0) {
        if (argc == 7) mtu = atoi(argv[6]);
        ask(argv[2], argv[3], argv[4], atoi(argv[5]));
    } else {
        fprintf(stderr, "sctp_peer serve ADDRESS PORT NAME [MTU] | ask LOCAL ADDRESS PORT COUNT [MTU]\n");
        return 2;
    }
    return 0;
}
