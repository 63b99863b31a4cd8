/*
 * Stands in for a kernel with PF_KEY, and for a system with a user of iked's own, so that OpenIKED runs in a test. Preloaded.
 *
 * socket(PF_KEY) gives a datagram socket that is connected to itself. What iked writes there is replaced by its acknowledgement
 * (RFC 2367 §2.3.3: the header with errno 0), which iked then reads. SPIs are counted up; no packet is ever protected. Each SA that iked
 * loads is told on standard error, so that a test sees more than that iked believes to have one.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <grp.h>
#include <linux/pfkeyv2.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

struct answer {
	struct sadb_msg header;
	struct sadb_sa sa;
};

/* SPIs count up from a number of this process's own: a peer may still have the SAs of the iked before. Up to 255 they are reserved. */
static uint32_t last_spi;

int socket(int domain, int type, int protocol)
{
	static int (*original)(int, int, int);
	struct sockaddr_un name;
	socklen_t length = sizeof(name);
	int fd;

	if (original == NULL)
		original = (int (*)(int, int, int))dlsym(RTLD_NEXT, "socket");
	if (domain != PF_KEY)
		return original(domain, type, protocol);
	fd = original(AF_UNIX, SOCK_DGRAM, 0);
	memset(&name, 0, sizeof(name));
	name.sun_family = AF_UNIX;
	/* An address without a path has the kernel choose a name. */
	if (fd < 0 || bind(fd, (struct sockaddr *)&name, sizeof(sa_family_t)) != 0 ||
	    getsockname(fd, (struct sockaddr *)&name, &length) != 0 ||
	    connect(fd, (struct sockaddr *)&name, length) != 0)
		return -1;
	return fd;
}

/* iked has no other datagram socket of this family. */
static int is_pfkey(int fd)
{
	int domain = 0, type = 0;
	socklen_t length = sizeof(int);

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) == 0 && domain == AF_UNIX &&
	       getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && type == SOCK_DGRAM;
}

/* An IPv4 address of an extension, if it has room for one. */
static void address_of(const struct sadb_ext *extension, size_t length, char text[INET_ADDRSTRLEN])
{
	const struct sockaddr_in *address = (const struct sockaddr_in *)((const char *)extension + sizeof(struct sadb_address));

	if (length >= sizeof(struct sadb_address) + sizeof(*address) && address->sin_family == AF_INET)
		inet_ntop(AF_INET, &address->sin_addr, text, INET_ADDRSTRLEN);
}

/* Tells the SA of an SADB_ADD or SADB_UPDATE (RFC 2367 §2.3): algorithms by their numbers in <linux/pfkeyv2.h>, keys by their bits. */
static void tell(const struct iovec *parts, int count)
{
	uint64_t message[512];
	size_t size = 0, at, length;
	const struct sadb_ext *extension;
	const struct sadb_sa *sa = NULL;
	int encryption = 0, authentication = 0, i;
	char from[INET_ADDRSTRLEN] = "?", to[INET_ADDRSTRLEN] = "?";

	for (i = 0; i < count; i++) {
		if (parts[i].iov_len > sizeof(message) - size)
			return;
		memcpy((char *)message + size, parts[i].iov_base, parts[i].iov_len);
		size += parts[i].iov_len;
	}
	for (at = sizeof(struct sadb_msg); at + sizeof(*extension) <= size; at += length) {
		extension = (const struct sadb_ext *)((const char *)message + at);
		length = (size_t)extension->sadb_ext_len * 8;
		if (length == 0 || length > size - at)
			return;
		switch (extension->sadb_ext_type) {
		case SADB_EXT_SA:
			if (length >= sizeof(*sa))
				sa = (const struct sadb_sa *)extension;
			break;
		case SADB_EXT_KEY_ENCRYPT:
			encryption = ((const struct sadb_key *)extension)->sadb_key_bits;
			break;
		case SADB_EXT_KEY_AUTH:
			authentication = ((const struct sadb_key *)extension)->sadb_key_bits;
			break;
		case SADB_EXT_ADDRESS_SRC:
			address_of(extension, length, from);
			break;
		case SADB_EXT_ADDRESS_DST:
			address_of(extension, length, to);
			break;
		}
	}
	if (sa != NULL)
		dprintf(STDERR_FILENO, "pfkey: loaded an SA from %s to %s with encryption %d of %d bits, authentication %d of %d bits\n", from, to,
			sa->sadb_sa_encrypt, encryption, sa->sadb_sa_auth, authentication);
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
	static ssize_t (*original)(int, const struct iovec *, int);
	struct answer answer;
	ssize_t asked = 0;
	size_t length = sizeof(answer.header);
	int i;

	if (original == NULL)
		original = (ssize_t (*)(int, const struct iovec *, int))dlsym(RTLD_NEXT, "writev");
	if (count < 1 || parts[0].iov_len != sizeof(answer.header) || !is_pfkey(fd))
		return original(fd, parts, count);
	for (i = 0; i < count; i++)
		asked += parts[i].iov_len;
	memset(&answer, 0, sizeof(answer));
	memcpy(&answer.header, parts[0].iov_base, sizeof(answer.header));
	if (answer.header.sadb_msg_type == SADB_ADD || answer.header.sadb_msg_type == SADB_UPDATE)
		tell(parts, count);
	answer.header.sadb_msg_errno = 0;
	if (answer.header.sadb_msg_type == SADB_GETSPI) {
		answer.sa.sadb_sa_len = sizeof(answer.sa) / 8;
		answer.sa.sadb_sa_exttype = SADB_EXT_SA;
		if (last_spi == 0)
			last_spi = (uint32_t)getpid() << 12;
		answer.sa.sadb_sa_spi = htonl(++last_spi);
		length = sizeof(answer);
	}
	answer.header.sadb_msg_len = length / 8;
	return write(fd, &answer, length) == (ssize_t)length ? asked : -1;
}

/* iked exempts its own sockets from the kernel's policies; there are none. */
int setsockopt(int fd, int level, int option, const void *value, socklen_t length)
{
	static int (*original)(int, int, int, const void *, socklen_t);

	if (original == NULL)
		original = (int (*)(int, int, int, const void *, socklen_t))dlsym(RTLD_NEXT, "setsockopt");
	if ((level == IPPROTO_IP && option == IP_IPSEC_POLICY) || (level == IPPROTO_IPV6 && option == IPV6_IPSEC_POLICY))
		return 0;
	return original(fd, level, option, value, length);
}

/* A user namespace with one user refuses this. */
int setgroups(size_t size, const gid_t *list)
{
	(void)size;
	(void)list;
	return 0;
}
