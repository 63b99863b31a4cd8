/*
 * Stands in for a kernel with PF_KEY, and for a system with a user of iked's own, so that OpenIKED runs in a test. Preloaded.
 *
 * socket(PF_KEY) gives a datagram socket that is connected to itself. What iked writes there is replaced by its acknowledgement
 * (RFC 2367 §2.3.3: the header with errno 0), which iked then reads. SPIs are counted up; no packet is ever protected.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <grp.h>
#include <linux/pfkeyv2.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

struct answer {
	struct sadb_msg header;
	struct sadb_sa sa;
};

/* The kernel would not hand out SPIs up to 255: they are reserved. */
static uint32_t last_spi = 0xff;

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
	answer.header.sadb_msg_errno = 0;
	if (answer.header.sadb_msg_type == SADB_GETSPI) {
		answer.sa.sadb_sa_len = sizeof(answer.sa) / 8;
		answer.sa.sadb_sa_exttype = SADB_EXT_SA;
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
