//! A network of namespaces, one for each process, joined by a bridge.

use super::isolation::said;
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// What the interface of a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wire {
    /// Every frame passes alone, as on a cable, so that the kernel counts the headers of each. Slower than
    /// [`Free`](Self::Free).
    Counted,
    /// No limit but the machine's.
    Free,
    /// A link that sends so many bits a second.
    Limited(u64),
}

impl FromStr for Wire {
    type Err = String;

    /// Reads a limit as `tc` does: a number and kbit, mbit or gbit.
    fn from_str(text: &str) -> Result<Self, String> {
        let units = [("kbit", 1e3), ("mbit", 1e6), ("gbit", 1e9)];
        let found = units.iter().find_map(|(unit, size)| {
            let number: f64 = text.strip_suffix(unit)?.parse().ok()?;
            let bits = number * size;
            (1e4..=1e12).contains(&bits).then_some(bits as u64)
        });
        let bits = found.ok_or("expected a rate such as 100mbit or 10gbit")?;
        Ok(Self::Limited(bits))
    }
}

impl fmt::Display for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Counted => f.write_str("counted"),
            Self::Free => f.write_str("no limit"),
            Self::Limited(bits) if *bits >= 1_000_000_000 => {
                write!(f, "{} Gb/s", *bits as f64 / 1e9)
            }
            Self::Limited(bits) => write!(f, "{} Mb/s", *bits as f64 / 1e6),
        }
    }
}

/// What has left an interface since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// Bytes of all frames with their Ethernet headers; without preamble, check sequence and gap.
    pub bytes: u64,
    /// Frames.
    pub frames: u64,
}

impl Sent {
    /// Reads the output of `ip -s -j link show dev`.
    fn of_link(json: &[u8]) -> Result<Self> {
        let links: serde_json::Value = serde_json::from_slice(json)?;
        let sent = &links[0]["stats64"]["tx"];
        let number = |key: &str| sent[key].as_u64();
        let (bytes, frames) = number("bytes")
            .zip(number("packets"))
            .with_context(|| format!("`ip` says nothing of sent bytes: {links}"))?;
        Ok(Self { bytes, frames })
    }
}

/// The namespaces of some processes.
#[derive(Debug)]
pub(super) struct Network {
    processes: usize,
}

impl Network {
    /// Makes a namespace for each process. Only for a process in namespaces of its own: its `/run` becomes an empty
    /// folder in memory, and nothing is ever removed.
    ///
    /// # Errors
    ///
    /// The system refuses.
    pub fn new(processes: usize, wire: Wire) -> Result<Self> {
        if !(2..=200).contains(&processes) {
            bail!("{processes} processes: expected 2 to 200");
        }
        said("mount", "-t tmpfs tmpfs /run")?;
        let ip = |arguments: &str| said("ip", arguments).map(drop);
        ip("link set lo up")?;
        ip("link add bridge type bridge")?;
        ip("address add 10.0.0.254/24 dev bridge")?;
        ip("link set bridge up")?;
        for rank in 0..processes {
            let (host, address) = (Self::host(rank), rank + 1);
            ip(&format!("netns add {host}"))?;
            ip(&format!(
                "link add port{rank} type veth peer name eth0 netns {host}"
            ))?;
            ip(&format!("link set port{rank} master bridge up"))?;
            ip(&format!("-n {host} link set lo up"))?;
            ip(&format!(
                "-n {host} address add 10.0.0.{address}/24 dev eth0"
            ))?;
            match wire {
                Wire::Free => {}
                Wire::Counted => ip(&format!("-n {host} link set dev eth0 gso_max_segs 1"))?,
                Wire::Limited(bits) => {
                    let limit = format!("tbf rate {bits}bit burst 256kb latency 50ms");
                    said("tc", &format!("-n {host} qdisc add dev eth0 root {limit}"))?;
                }
            }
            ip(&format!("-n {host} link set eth0 up"))?;
        }
        Ok(Self { processes })
    }

    /// The namespace of a process, and its name as a host.
    pub fn host(rank: usize) -> String {
        format!("rank{rank}")
    }

    /// What has left each process.
    ///
    /// # Errors
    ///
    /// `ip` fails.
    pub fn sent(&self) -> Result<Vec<Sent>> {
        let of = |rank| {
            let host = Self::host(rank);
            Sent::of_link(&said("ip", &format!("-n {host} -s -j link show dev eth0"))?)
        };
        (0..self.processes).map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_counters_are_read_from_what_ip_says() {
        let said = br#"[{"ifindex":2,"ifname":"eth0","mtu":1500,"stats64":{
            "rx":{"bytes":11,"packets":1,"errors":0},"tx":{"bytes":11665087,"packets":8295,"errors":0}}}]"#;
        let sent = Sent::of_link(said).unwrap();
        assert_eq!((sent.bytes, sent.frames), (11_665_087, 8295));
        for none in [&b"[{}]"[..], b"[]", b""] {
            assert!(Sent::of_link(none).is_err());
        }
    }

    #[test]
    fn a_rate_is_written_as_tc_reads_it_and_shown_in_units() {
        for (text, bits, shown) in [
            ("100mbit", 100_000_000, "100 Mb/s"),
            ("2.5gbit", 2_500_000_000, "2.5 Gb/s"),
            ("500kbit", 500_000, "0.5 Mb/s"),
        ] {
            let wire: Wire = text.parse().unwrap();
            assert_eq!(
                (wire, wire.to_string().as_str()),
                (Wire::Limited(bits), shown)
            );
        }
        for wrong in ["", "mbit", "100", "-1gbit", "NaNgbit", "1kbit", "100 bytes"] {
            assert!(wrong.parse::<Wire>().is_err(), "{wrong}");
        }
    }
}
