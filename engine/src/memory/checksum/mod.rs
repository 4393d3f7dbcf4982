//! Checksums that a sender left to hardware: where one is in a frame, and what it
//! should be.
//!
//! A stack that sends leaves the checksum to the NIC and marks the packet
//! (`CHECKSUM_PARTIAL`). For TCP and UDP the field then has the sum of the
//! pseudo-header, for SCTP and for GRE's own checksum zero. A virtual interface
//! passes the packet on as it is, and the receiving stack trusts the mark. AF_XDP
//! carries bytes and no marks, so whoever receives the frame next finds a wrong
//! checksum: `ping` works, and TCP does not.
//!
//! A packet has at most one mark, so a frame lacks at most one checksum, however
//! many headers it has. It may be anywhere, as tunnels carry the mark along.
//!
//! # Judged by the value
//!
//! The field of a checksum that is undone has the pseudo-header's sum `P`. With `D`,
//! the sum of what is covered but for the field, the right checksum is `~(P + D)`.
//!
//! - A right checksum that happens to be `P` is what finishing makes of it, because
//!   that is `~(P + D)` too. So nothing that is right is made wrong.
//! - A wrong checksum that happens to be `P` is made right: one of 65,536 damaged
//!   frames, as many as a checksum does not detect anyway.
//! - Around the checksum that is undone, another one may be finished already: that
//!   of an outer UDP header or of GRE. The kernel makes it so that it is right once
//!   the inner one is finished (`lco_csum`). So an inner checksum counts as undone
//!   only if all around it are right then. That tells a packet in a tunnel from
//!   one that is somebody's data, such as a mirrored packet, and it tells which is
//!   undone where two look like it.
//!
//! # What is looked into
//!
//! Ethernet, VLAN tags, MPLS, PPPoE; IPv4; IPv6 with extension headers; IP in IP,
//! GRE, EtherIP, ERSPAN; in UDP, whatever the port: VXLAN, VXLAN-GPE, Geneve, GTP-U, GUE
//! and IP itself (FOU, bareudp). By their ports: GRE and MPLS in UDP. Not looked into:
//! fragments, which have a part of what their checksum covers, and ESP and AH, whose
//! senders finish checksums in software because they sign them. Nothing leaves the
//! checksums of ICMP, UDP-Lite and DCCP undone.
//!
//! Source: "Checksum offloads" in `Documentation/networking/checksum-offloads.rst`,
//! `skb_checksum_help` and `skb_crc32c_csum_help` in `net/core/dev.c`, Linux 6.18.

mod cover;
mod header;
mod in_udp;
mod place;
mod plain;
mod sum;
mod undone;
mod walk;

#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
mod tests;

pub use cover::ChecksumProtocol;
pub(crate) use plain::is_plainly_done;
pub(crate) use undone::find;
