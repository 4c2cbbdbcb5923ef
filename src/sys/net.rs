//! Network calls that rustix lacks: interface flags (netdevice(7)) and datagrams with their local address
//! (`IP_PKTINFO` in ip(7), `IPV6_PKTINFO` in ipv6(7)).

use rustix::net::{AddressFamily, SocketFlags, SocketType};
use std::io;
use std::mem::{size_of, zeroed};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, BorrowedFd};

/// Bring up `lo` in the calling thread's network namespace (`SIOCSIFFLAGS`). Needs CAP_NET_ADMIN there.
pub fn loopback_up() -> io::Result<()> {
    let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    // SAFETY: `ifreq` is plain data, for which zero is valid.
    let mut request: libc::ifreq = unsafe { zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = *from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = libc::IFF_UP as libc::c_short;
    // SAFETY: the request takes an `ifreq`, which outlives the call.
    match unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw const request) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// The local end of a datagram: the address that it was sent to, which its answer should come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Local {
    /// IPv4.
    V4(Ipv4Addr),
    /// IPv6, with the interface, which link-local addresses need.
    V6(Ipv6Addr, u32),
}

/// Room for one control message of packet information, aligned as the kernel's `cmsghdr` wants it.
type Control = [u64; 8];

/// Have a datagram socket tell the local address of what it receives.
pub fn enable_packet_info(socket: BorrowedFd<'_>, ipv6: bool) -> io::Result<()> {
    let (level, option) = match ipv6 {
        true => (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO),
        false => (libc::IPPROTO_IP, libc::IP_PKTINFO),
    };
    set_option(socket, level, option)
}

fn set_option(socket: BorrowedFd<'_>, level: libc::c_int, option: libc::c_int) -> io::Result<()> {
    let on: libc::c_int = 1;
    let size = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the option takes an int, which outlives the call.
    match unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const on).cast(), size) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Let a socket take an address that is not this namespace's: `IP_TRANSPARENT` in ip(7), `IPV6_TRANSPARENT` (Linux
/// 2.6.37). Needs CAP_NET_RAW in the namespace that owns the socket's.
pub fn set_transparent(socket: BorrowedFd<'_>, ipv6: bool) -> io::Result<()> {
    let (level, option) = match ipv6 {
        true => (libc::IPPROTO_IPV6, libc::IPV6_TRANSPARENT),
        false => (libc::IPPROTO_IP, libc::IP_TRANSPARENT),
    };
    set_option(socket, level, option)
}

/// recvmsg(2) of one datagram: its length, its sender, and the local address (after [`enable_packet_info`]).
pub fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr, Option<Local>)> {
    // SAFETY: both are plain data, for which zero is valid.
    let (mut name, mut message) = unsafe { (zeroed::<libc::sockaddr_storage>(), zeroed::<libc::msghdr>()) };
    let mut control: Control = [0; 8];
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    message.msg_name = (&raw mut name).cast();
    message.msg_namelen = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = (&raw mut control).cast();
    message.msg_controllen = size_of::<Control>() as _;
    // SAFETY: every pointer of `message` leads to a live object of the length given beside it.
    let length = match unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, 0) } {
        -1 => return Err(io::Error::last_os_error()),
        length => length as usize,
    };
    let sender = to_socket_addr(&name).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?;
    Ok((length, sender, local_of(&message)))
}

fn local_of(message: &libc::msghdr) -> Option<Local> {
    // SAFETY: the kernel has filled in `msg_control` and `msg_controllen`; the macro stays within them.
    let header = unsafe { libc::CMSG_FIRSTHDR(message) };
    if header.is_null() {
        return None;
    }
    // SAFETY: not null, so it is a whole header inside the control buffer; so is its data, whose type the level and
    // type tell. Unaligned reads make no demand on its place.
    unsafe {
        match ((*header).cmsg_level, (*header).cmsg_type) {
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                let info = libc::CMSG_DATA(header).cast::<libc::in_pktinfo>().read_unaligned();
                Some(Local::V4(Ipv4Addr::from(u32::from_be(info.ipi_spec_dst.s_addr))))
            }
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                let info = libc::CMSG_DATA(header).cast::<libc::in6_pktinfo>().read_unaligned();
                let address = Ipv6Addr::from(info.ipi6_addr.s6_addr);
                // An answer cannot come from a group.
                (!address.is_multicast()).then_some(Local::V6(address, info.ipi6_ifindex))
            }
            _ => None,
        }
    }
}

/// sendmsg(2) of one datagram, from `local` where given.
pub fn send(socket: BorrowedFd<'_>, bytes: &[u8], to: SocketAddr, local: Option<Local>) -> io::Result<usize> {
    let (mut name, name_length) = from_socket_addr(to);
    let mut control: Control = [0; 8];
    let mut part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    // SAFETY: plain data, for which zero is valid.
    let mut message = unsafe { zeroed::<libc::msghdr>() };
    message.msg_name = (&raw mut name).cast();
    message.msg_namelen = name_length;
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    if let Some(local) = local {
        message.msg_control = (&raw mut control).cast();
        message.msg_controllen = size_of::<Control>() as _;
        put_local(&mut message, local);
    }
    // SAFETY: every pointer of `message` leads to a live object of the length given beside it; nothing is written.
    match unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const message, libc::MSG_NOSIGNAL) } {
        -1 => Err(io::Error::last_os_error()),
        length => Ok(length as usize),
    }
}

fn put_local(message: &mut libc::msghdr, local: Local) {
    // SAFETY: the control buffer of 64 bytes is aligned and has room for the larger of the two (40 bytes), so the
    // first header is not null and its data lies inside; what is written there is plain data.
    unsafe {
        let header = libc::CMSG_FIRSTHDR(message);
        let size = match local {
            Local::V4(address) => {
                let mut info: libc::in_pktinfo = zeroed();
                info.ipi_spec_dst.s_addr = u32::from(address).to_be();
                (*header).cmsg_level = libc::IPPROTO_IP;
                (*header).cmsg_type = libc::IP_PKTINFO;
                libc::CMSG_DATA(header).cast::<libc::in_pktinfo>().write_unaligned(info);
                size_of::<libc::in_pktinfo>() as u32
            }
            Local::V6(address, interface) => {
                let mut info: libc::in6_pktinfo = zeroed();
                info.ipi6_addr.s6_addr = address.octets();
                info.ipi6_ifindex = interface;
                (*header).cmsg_level = libc::IPPROTO_IPV6;
                (*header).cmsg_type = libc::IPV6_PKTINFO;
                libc::CMSG_DATA(header).cast::<libc::in6_pktinfo>().write_unaligned(info);
                size_of::<libc::in6_pktinfo>() as u32
            }
        };
        (*header).cmsg_len = libc::CMSG_LEN(size) as _;
        message.msg_controllen = libc::CMSG_SPACE(size) as _;
    }
}

fn to_socket_addr(name: &libc::sockaddr_storage) -> Option<SocketAddr> {
    match i32::from(name.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says that this is a `sockaddr_in`, which is smaller than the storage.
            let name = unsafe { (&raw const *name).cast::<libc::sockaddr_in>().read() };
            let ip = Ipv4Addr::from(u32::from_be(name.sin_addr.s_addr));
            Some(SocketAddrV4::new(ip, u16::from_be(name.sin_port)).into())
        }
        libc::AF_INET6 => {
            // SAFETY: as above, for a `sockaddr_in6`.
            let name = unsafe { (&raw const *name).cast::<libc::sockaddr_in6>().read() };
            let ip = Ipv6Addr::from(name.sin6_addr.s6_addr);
            Some(SocketAddrV6::new(ip, u16::from_be(name.sin6_port), name.sin6_flowinfo, name.sin6_scope_id).into())
        }
        _ => None,
    }
}

fn from_socket_addr(address: SocketAddr) -> (libc::sockaddr_storage, libc::socklen_t) {
    // SAFETY: plain data, for which zero is valid.
    let mut storage: libc::sockaddr_storage = unsafe { zeroed() };
    let size = match address {
        SocketAddr::V4(address) => {
            let name = libc::sockaddr_in {
                sin_family: libc::AF_INET as libc::sa_family_t,
                sin_port: address.port().to_be(),
                sin_addr: libc::in_addr { s_addr: u32::from(*address.ip()).to_be() },
                sin_zero: [0; 8],
            };
            // SAFETY: the storage is larger and aligned for every kind of address.
            unsafe { (&raw mut storage).cast::<libc::sockaddr_in>().write(name) };
            size_of::<libc::sockaddr_in>()
        }
        SocketAddr::V6(address) => {
            let name = libc::sockaddr_in6 {
                sin6_family: libc::AF_INET6 as libc::sa_family_t,
                sin6_port: address.port().to_be(),
                sin6_flowinfo: address.flowinfo(),
                sin6_addr: libc::in6_addr { s6_addr: address.ip().octets() },
                sin6_scope_id: address.scope_id(),
            };
            // SAFETY: as above.
            unsafe { (&raw mut storage).cast::<libc::sockaddr_in6>().write(name) };
            size_of::<libc::sockaddr_in6>()
        }
    };
    (storage, size as libc::socklen_t)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::os::fd::AsFd;

    #[test]
    fn a_datagram_tells_where_it_was_sent_to_and_is_answered_from_there() {
        for (any, target, ipv6) in [("0.0.0.0:0", "127.0.0.2", false), ("[::]:0", "::1", true)] {
            let Ok(server) = UdpSocket::bind(any) else { continue };
            let target = SocketAddr::new(target.parse().unwrap(), server.local_addr().unwrap().port());
            enable_packet_info(server.as_fd(), ipv6).unwrap();
            let client = UdpSocket::bind(SocketAddr::new(target.ip(), 0)).unwrap();
            client.send_to(b"hello", target).unwrap();
            let mut buffer = [0; 16];
            let (length, sender, local) = receive(server.as_fd(), &mut buffer).unwrap();
            assert_eq!((&buffer[..length], sender), (&b"hello"[..], client.local_addr().unwrap()));
            send(server.as_fd(), b"answer", sender, local).unwrap();
            let (length, from) = client.recv_from(&mut buffer).unwrap();
            assert_eq!((&buffer[..length], from), (&b"answer"[..], target));
        }
    }
}
