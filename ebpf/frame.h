// SPDX-License-Identifier: MIT OR Apache-2.0 OR GPL-2.0-only
//
// What a frame says in the fields that rules ask for: each has a value, is absent,
// or is undecided. engine/src/steering/rules/fields.rs is the definition, in plain Rust, and
// the engine's tests compare the two.
//
// Only the first buffer of a frame is looked at.
//
// Pointers at offsets which the verifier does not know take CAP_PERFMON
// (`sanitize_ptr_alu`, kernel/bpf/verifier.c), so a program that reads frames does.
// Copying the bytes with bpf_xdp_load_bytes instead does not help: without
// CAP_PERFMON the verifier explores what a CPU may speculate on, and gives up.

struct frame {
	__u64 ether_destination; // Undecided when `is_short`.
	__u32 is_short;		 // There is no whole Ethernet header.
	__u32 ether_type;
	__u32 vlan[2];
	__u32 ip; // IP_...
	__u32 protocol;
	__u32 later_fragment; // 0, 1, FRAGMENT_...
	__u32 source_port;
	__u32 destination_port;
	__u32 tcp_flags;
	__u32 icmp_type[2];
	struct flow flow; // Addresses are set when `ip` is IP_V4 or IP_V6.
	// Set where rules ask for what follows from them, and not before.
	__u32 extensions; // IPv6 extension headers, by bits.
	__u32 network_at; // Where the header behind the tags begins.
};

// Bytes that every reader of frames sets. What rules do not ask for costs nothing.
#define FRAME_BASE __builtin_offsetof(struct frame, extensions)

enum { IP_ABSENT = 0, IP_UNDECIDED = 1, IP_V4 = 4, IP_V6 = 6 };
enum { FRAGMENT_ABSENT = 2, FRAGMENT_UNDECIDED = 3 };

enum { ETHERTYPE_IPV4 = 0x0800, ETHERTYPE_ARP = 0x0806, ETHERTYPE_IPV6 = 0x86dd };
enum { FIRST_ETHERTYPE = 1536 }; // Below it is an 802.3 length.
enum { ICMP = 1, TCP = 6, UDP = 17, ICMPV6 = 58, SCTP = 132 };
enum { HOP_BY_HOP = 0, ROUTING = 43, FRAGMENT = 44, AH = 51, DESTINATION_OPTIONS = 60 };

// Bits of `extensions`.
enum {
	EXTENSION_HOP_BY_HOP = 1 << 0,
	EXTENSION_ROUTING = 1 << 1,
	EXTENSION_FRAGMENT = 1 << 2,
	EXTENSION_AH = 1 << 3,
	EXTENSION_DESTINATION_OPTIONS = 1 << 4,
};

// IPv6 extension headers that are walked.
enum { MOST_EXTENSIONS = 4 };

// Above it no offset is looked at: 22 bytes to IPv6 behind two tags, its 40, and
// four extension headers of up to 2048.
enum { MOST_BYTES = 0x3fff };

struct ethernet {
	__u16 words[7];
};

struct tag {
	__u16 control;
	__u16 ether_type;
};

struct ipv4 {
	__u8 version_and_words;
	__u8 tos;
	__u16 total_bytes;
	__u16 id;
	__u16 fragment;
	__u8 ttl;
	__u8 protocol;
	__u16 checksum;
	__u32 source;
	__u32 destination;
};

struct ipv6 {
	__u8 version; // In the upper half.
	__u8 flow_label[3];
	__u16 payload_bytes;
	__u8 next_header;
	__u8 hop_limit;
	__u32 source[4];
	__u32 destination[4];
};

struct extension {
	__u8 next_header;
	__u8 length;
	__u16 offset; // In a fragment header.
	__u32 rest;
};

struct ports {
	__u16 source;
	__u16 destination;
};

// The `size` bytes at `offset`; null when they are not in the first buffer. The
// offset need not be bounded.
static __always_inline const void *window(struct xdp_md *ctx, __u32 offset, __u32 size)
{
	const __u8 *bytes;

	opaque(offset);
	if (offset > MOST_BYTES)
		return 0;
	bytes = (const __u8 *)(long)ctx->data + offset;
	opaque(bytes);
	if (bytes + size > (const __u8 *)(long)ctx->data_end)
		return 0;
	return bytes;
}

// Whether the frame has `bytes` bytes.
static __always_inline int reaches(struct xdp_md *ctx, __u32 bytes)
{
	return !!window(ctx, bytes - 1, 1);
}

static __always_inline int is_extension(__u32 next_header)
{
	return next_header == HOP_BY_HOP || next_header == ROUTING || next_header == FRAGMENT ||
	       next_header == AH || next_header == DESTINATION_OPTIONS;
}

static __always_inline int asks_extensions(void)
{
	return !!(wharf_config.fields & ASKS_EXTENSIONS);
}

// The same value, of which the verifier knows nothing any more. Where it knows a value,
// it follows each one by itself through all that comes after.
static __always_inline __u32 forget(__u32 value)
{
	return value ^ (__u32)*(volatile __u64 *)&wharf_tables.nothing;
}

static __always_inline __u32 extension_bit(__u32 protocol)
{
	switch (protocol) {
	case HOP_BY_HOP:
		return EXTENSION_HOP_BY_HOP;
	case ROUTING:
		return EXTENSION_ROUTING;
	case FRAGMENT:
		return EXTENSION_FRAGMENT;
	case AH:
		return EXTENSION_AH;
	case DESTINATION_OPTIONS:
		return EXTENSION_DESTINATION_OPTIONS;
	default:
		return 0;
	}
}

static __always_inline int is_tag(__u32 ether_type)
{
	return ether_type == 0x8100 || ether_type == 0x88a8 || ether_type == 0x9100;
}

// Reads what is behind the IP header and its extensions. `at` is where it begins,
// and `end` where the IP packet says that it ends itself.
static __always_inline void read_upper(struct xdp_md *ctx, struct frame *frame, __u32 at,
				       __u32 end, int later_fragment)
{
	__u32 protocol = frame->protocol;

	frame->source_port = frame->destination_port = ABSENT(NUMBERS);
	frame->tcp_flags = ABSENT(BYTES);
	if (protocol == TCP || protocol == UDP || protocol == SCTP) {
		const struct ports *ports;

		frame->source_port = frame->destination_port = UNDECIDED(NUMBERS);
		if (protocol == TCP)
			frame->tcp_flags = UNDECIDED(BYTES);
		if (later_fragment || at + 4 > end)
			return;
		ports = window(ctx, at, sizeof(*ports));
		if (!ports)
			return;
		frame->flow.source_port = ports->source;
		frame->flow.destination_port = ports->destination;
		frame->source_port = ntohs(ports->source);
		frame->destination_port = ntohs(ports->destination);
		if (protocol == TCP && at + 14 <= end) {
			const __u8 *flags = window(ctx, at + 13, 1);

			if (flags)
				frame->tcp_flags = *flags;
		}
	} else if (frame->ip == IP_V4 ? protocol == ICMP : protocol == ICMPV6) {
		__u32 type = UNDECIDED(BYTES);

		if (!later_fragment && at < end) {
			const __u8 *byte = window(ctx, at, 1);

			if (byte)
				type = *byte;
		}
		if (frame->ip == IP_V4)
			frame->icmp_type[0] = type;
		else
			frame->icmp_type[1] = type;
	}
}

static __always_inline void read_ipv4(struct xdp_md *ctx, struct frame *frame, __u32 at)
{
	const struct ipv4 *ip = window(ctx, at, sizeof(*ip));
	__u32 header_bytes, total_bytes;
	int later_fragment;

	if (!ip)
		return;
	header_bytes = (ip->version_and_words & 0x0f) * 4;
	total_bytes = ntohs(ip->total_bytes);
	if (ip->version_and_words >> 4 != 4 || header_bytes < sizeof(*ip) ||
	    total_bytes < header_bytes)
		return;
	later_fragment = !!(ip->fragment & htons(0x1fff));
	frame->flow.source.bits = frame->flow.destination.bits = 32;
	frame->flow.source.bytes[0] = ip->source;
	frame->flow.destination.bytes[0] = ip->destination;
	frame->protocol = ip->protocol;
	if (header_bytes > sizeof(*ip) && !reaches(ctx, at + header_bytes)) {
		frame->protocol = UNDECIDED(BYTES);
		return;
	}
	frame->ip = IP_V4;
	frame->later_fragment = later_fragment;
	// What is an extension header of IPv6 is a protocol like others here.
	if (asks_extensions())
		frame->extensions = extension_bit(ip->protocol);
	frame->icmp_type[0] = frame->icmp_type[1] = ABSENT(BYTES);
	read_upper(ctx, frame, at + header_bytes, at + total_bytes, later_fragment);
}

static __always_inline void read_ipv6(struct xdp_md *ctx, struct frame *frame, __u32 at)
{
	const struct ipv6 *ip = window(ctx, at, sizeof(*ip));
	__u32 next_header, end, seen = 0;
	int later_fragment = 0;

	if (!ip || ip->version >> 4 != 6)
		return;
	frame->ip = IP_V6;
	frame->flow.source.bits = frame->flow.destination.bits = 128;
	for (int i = 0; i < 4; i++) {
		frame->flow.source.bytes[i] = ip->source[i];
		frame->flow.destination.bytes[i] = ip->destination[i];
	}
	frame->icmp_type[0] = ABSENT(BYTES);
	next_header = ip->next_header;
	at += sizeof(*ip);
	end = at + ntohs(ip->payload_bytes);
#pragma unroll
	for (int i = 0; i < MOST_EXTENSIONS; i++) {
		const struct extension *extension;
		__u32 bytes, extends = next_header;

		if (!is_extension(extends))
			break;
		// None is shorter than eight bytes.
		extension = window(ctx, at, sizeof(*extension));
		if (!extension || at + sizeof(*extension) > end)
			return;
		next_header = extension->next_header;
		if (asks_extensions()) {
			seen = forget(seen | extension_bit(extends));
		}
		if (extends == FRAGMENT) {
			at += 8;
			if (extension->offset & htons(0xfff8)) {
				later_fragment = 1;
				break;
			}
			continue;
		}
		bytes = extends == AH ? (extension->length + 2) * 4 :
					(extension->length + 1) * 8;
		at += bytes;
		if (at > end || !reaches(ctx, at))
			return;
	}
	if (later_fragment)
		frame->later_fragment = 1;
	if (is_extension(next_header))
		return;
	frame->later_fragment = later_fragment;
	frame->protocol = next_header;
	if (asks_extensions())
		frame->extensions = seen;
	frame->icmp_type[1] = ABSENT(BYTES);
	read_upper(ctx, frame, at, end, later_fragment);
}

static __always_inline void read_frame(struct xdp_md *ctx, struct frame *frame)
{
	const struct ethernet *ethernet;
	__u32 ether_type, at = sizeof(*ethernet);

	__builtin_memset(frame, 0, FRAME_BASE);
	if (asks_extensions())
		frame->extensions = UNDECIDED(EXTENSION_SETS);
	if (wharf_config.fields & (ASKS_ARP_SOURCE | ASKS_ARP_DESTINATION))
		frame->network_at = 0;
	frame->is_short = 1;
	frame->ether_type = UNDECIDED(NUMBERS);
	frame->vlan[0] = frame->vlan[1] = UNDECIDED(IDS);
	frame->ip = IP_UNDECIDED;
	frame->protocol = UNDECIDED(BYTES);
	frame->later_fragment = FRAGMENT_UNDECIDED;
	frame->source_port = frame->destination_port = UNDECIDED(NUMBERS);
	frame->tcp_flags = UNDECIDED(BYTES);
	frame->icmp_type[0] = frame->icmp_type[1] = UNDECIDED(BYTES);

	ethernet = window(ctx, 0, sizeof(*ethernet));
	if (!ethernet)
		return;
	frame->is_short = 0;
	frame->ether_destination = ethernet->words[0] | (__u32)ethernet->words[1] << 16 |
				   (__u64)ethernet->words[2] << 32;
	ether_type = ntohs(ethernet->words[6]);
#pragma unroll
	for (int i = 0; i < 2; i++) {
		const struct tag *tag;

		if (!is_tag(ether_type)) {
			frame->vlan[i] = ABSENT(IDS);
			continue;
		}
		tag = window(ctx, at, sizeof(*tag));
		if (!tag)
			return;
		frame->vlan[i] = ntohs(tag->control) & (IDS - 1);
		ether_type = ntohs(tag->ether_type);
		at += sizeof(*tag);
	}
	if (wharf_config.fields & (ASKS_ARP_SOURCE | ASKS_ARP_DESTINATION))
		frame->network_at = at;
	frame->ether_type = ether_type < FIRST_ETHERTYPE ? ABSENT(NUMBERS) : ether_type;
	if (ether_type == ETHERTYPE_IPV4) {
		read_ipv4(ctx, frame, at);
	} else if (ether_type == ETHERTYPE_IPV6) {
		read_ipv6(ctx, frame, at);
	} else {
		frame->ip = IP_ABSENT;
		frame->protocol = ABSENT(BYTES);
		frame->later_fragment = FRAGMENT_ABSENT;
		if (asks_extensions())
			frame->extensions = ABSENT(EXTENSION_SETS);
		frame->source_port = frame->destination_port = ABSENT(NUMBERS);
		frame->tcp_flags = ABSENT(BYTES);
		frame->icmp_type[0] = frame->icmp_type[1] = ABSENT(BYTES);
	}
}
