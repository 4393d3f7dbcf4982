// SPDX-License-Identifier: MIT OR Apache-2.0 OR GPL-2.0-only
//
// The kernel's definitions that the program needs. It includes nothing of the
// host's, so that clang alone rebuilds it, byte for byte, anywhere. These are the
// kernel's user-space ABI (include/uapi/linux/bpf.h, Linux 5.10) and never change.

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;

#define SEC(name) __attribute__((section(name), used))
#define __uint(name, value) int(*name)[value]
#define __type(name, value) typeof(value) *name
#define __always_inline inline __attribute__((always_inline))

// Makes clang forget what it knows of a value, so that a check which only the
// verifier needs stays, and stays where it is.
#define opaque(value) asm volatile("" : "+r"(value))

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define ntohs(value) __builtin_bswap16(value)
#else
#define ntohs(value) (value)
#endif
#define htons ntohs

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define htonl(value) __builtin_bswap32(value)
#else
#define htonl(value) (value)
#endif

enum {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_LPM_TRIE = 11,
	BPF_MAP_TYPE_XSKMAP = 17,
};
enum { BPF_F_NO_PREALLOC = 1 };
enum { XDP_DROP = 1, XDP_PASS = 2, XDP_REDIRECT = 4 };

struct xdp_md {
	__u32 data;
	__u32 data_end;
	__u32 data_meta;
	__u32 ingress_ifindex;
	__u32 rx_queue_index;
};

// What sockets are looked up by, in network order.
struct bpf_sock_tuple {
	union {
		struct {
			__u32 saddr;
			__u32 daddr;
			__u16 sport;
			__u16 dport;
		} ipv4;
		struct {
			__u32 saddr[4];
			__u32 daddr[4];
			__u16 sport;
			__u16 dport;
		} ipv6;
	};
};

struct bpf_sock {
	__u32 bound_dev_if;
	__u32 family;
	__u32 type;
	__u32 protocol;
	__u32 mark;
	__u32 priority;
	__u32 src_ip4;
	__u32 src_ip6[4];
	__u32 src_port;
	__u32 dst_port;
	__u32 dst_ip4;
	__u32 dst_ip6[4];
	__u32 state;
};

enum { TCP_ESTABLISHED = 1, TCP_LISTEN = 10 };

#define BPF_F_CURRENT_NETNS (-1ULL)

static void *(*const bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static long (*const bpf_redirect_map)(void *map, __u64 key, __u64 flags) = (void *)51;
static struct bpf_sock *(*const bpf_sk_lookup_udp)(void *ctx, struct bpf_sock_tuple *tuple,
						   __u32 size, __u64 netns,
						   __u64 flags) = (void *)85;
static long (*const bpf_sk_release)(void *sock) = (void *)86;
static struct bpf_sock *(*const bpf_skc_lookup_tcp)(void *ctx, struct bpf_sock_tuple *tuple,
						    __u32 size, __u64 netns,
						    __u64 flags) = (void *)99;
// The length of a frame in several buffers. Linux 5.18.
static __u64 (*const bpf_xdp_get_buff_len)(struct xdp_md *frame) = (void *)188;
