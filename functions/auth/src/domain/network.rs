//! The network that a request comes from.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

/// The network of a source address, in CIDR notation: a /24 of IPv4, a /64 of IPv6. One host easily changes its address
/// within such a network, and less easily leaves it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SourceNetwork(String);

impl SourceNetwork {
    /// Returns the network of a source address as API Gateway reports it. Requests without a readable address share one
    /// network.
    pub fn of(source_ip: Option<&str>) -> Self {
        let address = source_ip.and_then(|text| text.trim().parse::<IpAddr>().ok());
        Self(match address.map(|address| address.to_canonical()) {
            Some(IpAddr::V4(address)) => {
                let [a, b, c, _] = address.octets();
                format!("{}/24", Ipv4Addr::new(a, b, c, 0))
            }
            Some(IpAddr::V6(address)) => {
                let [a, b, c, d, ..] = address.segments();
                format!("{}/64", Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            }
            None => "unknown".to_owned(),
        })
    }
}

impl fmt::Display for SourceNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_network_are_one_source() {
        for (address, network) in [
            ("203.0.113.7", "203.0.113.0/24"),
            ("203.0.113.255", "203.0.113.0/24"),
            ("203.0.114.7", "203.0.114.0/24"),
            ("::ffff:203.0.113.7", "203.0.113.0/24"),
            ("2001:db8:1:2:aaaa::1", "2001:db8:1:2::/64"),
            ("2001:db8:1:2::", "2001:db8:1:2::/64"),
            ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
            ("nonsense", "unknown"),
        ] {
            assert_eq!(SourceNetwork::of(Some(address)).to_string(), network, "{address}");
        }
        assert_eq!(SourceNetwork::of(None).to_string(), "unknown");
    }
}
