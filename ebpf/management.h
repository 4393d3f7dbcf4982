// SPDX-License-Identifier: MIT OR Apache-2.0 OR GPL-2.0-only
//
// The first stage: what the host itself lives on, whatever the rules say. Address
// resolution, DHCP, and of what is addressed to the host: SSH, ICMP errors, later
// fragments, and the connections that its sockets have.

static __always_inline int is_own_address(const struct frame *frame)
{
	const struct address *to = &frame->flow.destination;
	struct own_address own = { { 0, 0, htonl(0xffff), to->bytes[0] } };

	if (frame->ip == IP_V6)
		__builtin_memcpy(&own, to->bytes, sizeof(own));
	return !!bpf_map_lookup_elem(&wharf_own_addrs, &own);
}

// Whether the frame is an IPv6 one to a group or to an address of the link: no
// router sends it on to one host of another link.
static __always_inline int is_on_link(const struct frame *frame)
{
	__u32 to = frame->flow.destination.bytes[0];

	return frame->ip == IP_V6 && ((to & htonl(0xff000000)) == htonl(0xff000000) ||
				      (to & htonl(0xffc00000)) == htonl(0xfe800000));
}

// Whether it is what an IPv6 host gets its neighbours and addresses by.
static __always_inline int is_discovery(const struct frame *frame)
{
	__u32 type = frame->icmp_type[1], to_port = frame->destination_port;

	if (frame->protocol == UDP)
		return to_port == 546 || to_port == 547; // DHCP
	// Multicast listeners, and the discovery of neighbours and routers.
	return frame->protocol == ICMPV6 && ((type >= 130 && type <= 137) || type == 143);
}

// Whether a socket of this network namespace is connected to the sender. Listeners
// and unconnected sockets do not count: those are for the rules to decide.
static __always_inline int has_socket(struct xdp_md *ctx, const struct frame *frame)
{
	struct bpf_sock_tuple tuple = {};
	struct bpf_sock *sock;
	__u32 size, state;

	if (frame->ip == IP_V4) {
		tuple.ipv4.saddr = frame->flow.source.bytes[0];
		tuple.ipv4.daddr = frame->flow.destination.bytes[0];
		tuple.ipv4.sport = frame->flow.source_port;
		tuple.ipv4.dport = frame->flow.destination_port;
		size = sizeof(tuple.ipv4);
	} else {
		__builtin_memcpy(tuple.ipv6.saddr, frame->flow.source.bytes, 16);
		__builtin_memcpy(tuple.ipv6.daddr, frame->flow.destination.bytes, 16);
		tuple.ipv6.sport = frame->flow.source_port;
		tuple.ipv6.dport = frame->flow.destination_port;
		size = sizeof(tuple.ipv6);
	}
	if (frame->protocol == TCP) {
		sock = bpf_skc_lookup_tcp(ctx, &tuple, size, BPF_F_CURRENT_NETNS, 0);
		if (!sock)
			return 0;
		state = sock->state;
		bpf_sk_release(sock);
		return state != TCP_LISTEN;
	}
	sock = bpf_sk_lookup_udp(ctx, &tuple, size, BPF_F_CURRENT_NETNS, 0);
	if (!sock)
		return 0;
	state = sock->state;
	bpf_sk_release(sock);
	return state == TCP_ESTABLISHED;
}

// Whether the frame is the host's, and goes to the kernel. Nothing else may: what
// is only forwarded is for the rules to decide.
static __always_inline int is_management(struct xdp_md *ctx, const struct frame *frame)
{
	__u32 to_port = frame->destination_port, protocol = frame->protocol;

	if (frame->ether_type == ETHERTYPE_ARP)
		return 1;
	if (frame->ip != IP_V4 && frame->ip != IP_V6)
		return 0;
	// DHCP, which has no address yet to be recognised by.
	if (frame->ip == IP_V4 && protocol == UDP && (to_port == 67 || to_port == 68))
		return 1;
	if (is_on_link(frame) && is_discovery(frame))
		return 1;
	if (!is_own_address(frame))
		return 0;
	if (frame->ip == IP_V6 && is_discovery(frame))
		return 1;
	// Without ports, and of no use without the first, which is not passed so. Other
	// extension headers that are not read through may hide any port from the rules.
	if (frame->later_fragment == 1)
		return 1;
	if (protocol == TCP || protocol == UDP || protocol == SCTP) {
		if (to_port == UNDECIDED(NUMBERS))
			return 1;
		if (protocol == SCTP)
			return 0;
		return (protocol == TCP && to_port == 22) || has_socket(ctx, frame);
	}
	if (frame->ip == IP_V4 && protocol == ICMP) {
		__u32 type = frame->icmp_type[0];

		return type == 3 || type == 11 || type == 12 || type == UNDECIDED(BYTES);
	}
	if (frame->ip == IP_V6 && protocol == ICMPV6) {
		__u32 type = frame->icmp_type[1];

		return (type >= 1 && type <= 4) || type == UNDECIDED(BYTES);
	}
	return 0;
}
