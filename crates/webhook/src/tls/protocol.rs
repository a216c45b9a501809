//! TLS versions, cipher suites and key exchange.

use std::str::FromStr;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs::{ALL_CIPHER_SUITES, default_provider, kx_group};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::version::{TLS12, TLS13};
use rustls::{CipherSuite, SupportedCipherSuite, SupportedProtocolVersion};

/// Cipher suites of TLS 1.3 by their Go names. Go does not let them be chosen either
/// (<https://pkg.go.dev/crypto/tls#Config>).
const TLS13_SUITES: [&str; 3] =
    ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"];

/// Cipher suites that Go has and rustls does not: CBC, RC4, 3DES, and RSA key exchange
/// (<https://pkg.go.dev/crypto/tls#pkg-constants>).
const OLD_SUITES: [&str; 16] = [
    "TLS_RSA_WITH_RC4_128_SHA",
    "TLS_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA",
    "TLS_RSA_WITH_AES_256_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA256",
    "TLS_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_RC4_128_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_RC4_128_SHA",
    "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256",
];

static VERSIONS: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];
static NEW_VERSIONS: &[&SupportedProtocolVersion] = &[&TLS13];

/// Groups for the key exchange, the preferred one first: kube-apiserver offers a share of the first two, so the order
/// decides, without a further round trip.
///
/// A full handshake took the server 91 µs with X25519, 112 µs with P-256 and 112 µs with X25519MLKEM768 (the tenth
/// percentile of 3,000 in memory, TLS 1.3, P-256 certificate), over 958, 1,023 and 3,229 bytes. When thousands of pods
/// are made at once over cold connections, handshakes are most of the work, and a call that times out is a pod without
/// its identity: so the cheap one comes first, the post-quantum one is there for clients that want no other.
static KEY_EXCHANGE: [&dyn SupportedKxGroup; 4] =
    [kx_group::X25519, kx_group::X25519MLKEM768, kx_group::SECP256R1, kx_group::SECP384R1];

/// What `--tls-min-version` says.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum MinVersion {
    /// `1.0`, `VersionTLS10`.
    Tls10,
    /// `1.1`, `VersionTLS11`.
    Tls11,
    /// `1.2`, `VersionTLS12`: the default, as Go's.
    #[default]
    Tls12,
    /// `1.3`, `VersionTLS13`.
    Tls13,
}

/// Not a version that `--tls-min-version` knows.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{}` is not a TLS version: expected `1.2` or `1.3` (or `VersionTLS12`, `VersionTLS13`)", .0.escape_default())]
pub struct UnknownVersion(pub String);

impl FromStr for MinVersion {
    type Err = UnknownVersion;

    /// As the Go webhook reads it
    /// (<https://github.com/aws/amazon-eks-pod-identity-webhook/blob/master/pkg/validation.go>).
    fn from_str(text: &str) -> Result<Self, UnknownVersion> {
        match text.trim() {
            "1.0" | "VersionTLS10" => Ok(Self::Tls10),
            "1.1" | "VersionTLS11" => Ok(Self::Tls11),
            "1.2" | "VersionTLS12" | "" => Ok(Self::Tls12),
            "1.3" | "VersionTLS13" => Ok(Self::Tls13),
            other => Err(UnknownVersion(other.to_owned())),
        }
    }
}

/// What is spoken.
#[derive(Clone, Debug)]
pub struct Protocol {
    versions: &'static [&'static SupportedProtocolVersion],
    provider: Arc<CryptoProvider>,
}

impl Protocol {
    /// From `--tls-min-version` and `--tls-cipher-suites`, a comma-separated list of Go's names. What rustls does not
    /// have is raised or left out: the second value says so, a notice each. Nothing here keeps the webhook from
    /// starting: an old flag is no reason to have none.
    #[must_use]
    pub fn new(min_version: MinVersion, cipher_suites: &str) -> (Self, Vec<String>) {
        let mut notices = Vec::new();
        if min_version < MinVersion::Tls12 {
            notices.push("`--tls-min-version` below `1.2`: TLS 1.2 is the oldest that is spoken".to_owned());
        }
        let versions = if min_version == MinVersion::Tls13 { NEW_VERSIONS } else { VERSIONS };
        let mut provider = default_provider();
        provider.kx_groups = KEY_EXCHANGE.to_vec();
        provider.cipher_suites = suites(cipher_suites, &mut notices);
        (Self { versions, provider: Arc::new(provider) }, notices)
    }

    /// The versions.
    #[must_use]
    pub fn versions(&self) -> &'static [&'static SupportedProtocolVersion] {
        self.versions
    }

    /// The cipher suites and key exchange groups, with aws-lc-rs behind them.
    #[must_use]
    pub fn provider(&self) -> &Arc<CryptoProvider> {
        &self.provider
    }
}

impl Default for Protocol {
    fn default() -> Self {
        Self::new(MinVersion::default(), "").0
    }
}

fn suites(names: &str, notices: &mut Vec<String>) -> Vec<SupportedCipherSuite> {
    let (mut chosen, tls12): (Vec<SupportedCipherSuite>, Vec<_>) =
        ALL_CIPHER_SUITES.iter().partition(|suite| suite.tls13().is_some());
    let mut asked = false;
    let mut kept = Vec::new();
    for name in names.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        asked = true;
        if let Some(&suite) = tls12.iter().find(|suite| suite.suite().as_str() == Some(name)) {
            kept.push(suite);
            continue;
        }
        let why = if TLS13_SUITES.contains(&name) {
            "those of TLS 1.3 are always on"
        } else if OLD_SUITES.contains(&name) {
            "it is not considered safe and not supported"
        } else {
            "there is none of this name"
        };
        let name = name.escape_default();
        notices.push(format!("cipher suite `{name}` of `--tls-cipher-suites` is ignored: {why}"));
    }
    if asked && kept.is_empty() {
        notices.push("`--tls-cipher-suites` leaves none for TLS 1.2: the default ones are used".to_owned());
    }
    chosen.extend(if kept.is_empty() { tls12 } else { kept });
    // Processors have instructions for SHA-256, few for SHA-384, which a handshake takes over and over.
    let is_cheap = |suite: CipherSuite| {
        matches!(
            suite,
            CipherSuite::TLS13_AES_128_GCM_SHA256
                | CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
                | CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
        )
    };
    chosen.sort_by_key(|suite| (suite.tls13().is_none(), !is_cheap(suite.suite())));
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        use MinVersion::{Tls10, Tls11, Tls12, Tls13};
        let unknown = |text: &str| Err(UnknownVersion(text.to_owned()));
        for (text, expected) in [
            ("", Ok(Tls12)),
            ("1.0", Ok(Tls10)),
            ("VersionTLS10", Ok(Tls10)),
            ("1.1", Ok(Tls11)),
            ("VersionTLS11", Ok(Tls11)),
            ("1.2", Ok(Tls12)),
            ("VersionTLS12", Ok(Tls12)),
            ("1.3", Ok(Tls13)),
            ("VersionTLS13", Ok(Tls13)),
            ("TLSv1.2", unknown("TLSv1.2")),
            ("13", unknown("13")),
        ] {
            assert_eq!(text.parse::<MinVersion>(), expected, "{text}");
        }
        let told = UnknownVersion("\u{1b}[1m".to_owned()).to_string();
        assert!(told.starts_with("`\\u{1b}[1m` is not a TLS version"), "{told}");
    }

    fn names(protocol: &Protocol) -> Vec<&'static str> {
        protocol.provider.cipher_suites.iter().filter_map(|suite| suite.suite().as_str()).collect()
    }

    const ALWAYS: [&str; 3] =
        ["TLS13_AES_128_GCM_SHA256", "TLS13_AES_256_GCM_SHA384", "TLS13_CHACHA20_POLY1305_SHA256"];
    const DEFAULT_12: [&str; 6] = [
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
    ];

    #[test]
    fn cipher_suites() {
        let ignored = |name: &str, why: &str| {
            format!("cipher suite `{name}` of `--tls-cipher-suites` is ignored: {why}")
        };
        let old = "it is not considered safe and not supported";
        let none = "`--tls-cipher-suites` leaves none for TLS 1.2: the default ones are used".to_owned();
        let rsa = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256";
        let ecdsa = "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384";
        let cases: [(&str, &[&str], Vec<String>); 7] = [
            ("", &DEFAULT_12, vec![]),
            (" , ", &DEFAULT_12, vec![]),
            (&format!("{rsa}, {ecdsa},"), &[rsa, ecdsa], vec![]),
            (
                &format!("TLS_RSA_WITH_AES_128_CBC_SHA,{rsa}"),
                &[rsa],
                vec![ignored("TLS_RSA_WITH_AES_128_CBC_SHA", old)],
            ),
            (
                "TLS_RSA_WITH_3DES_EDE_CBC_SHA",
                &DEFAULT_12,
                vec![ignored("TLS_RSA_WITH_3DES_EDE_CBC_SHA", old), none.clone()],
            ),
            (
                "TLS_AES_128_GCM_SHA256",
                &DEFAULT_12,
                vec![ignored("TLS_AES_128_GCM_SHA256", "those of TLS 1.3 are always on"), none.clone()],
            ),
            (
                "gibt\nes nicht",
                &DEFAULT_12,
                vec![ignored("gibt\\nes nicht", "there is none of this name"), none],
            ),
        ];
        for (given, expected, notices) in cases {
            let (protocol, said) = Protocol::new(MinVersion::Tls12, given);
            assert_eq!(names(&protocol), [&ALWAYS, expected].concat(), "{given}");
            assert_eq!(said, notices, "{given}");
        }
    }

    #[test]
    fn old_versions_are_raised_with_a_notice() {
        for (version, versions, notices) in [
            (MinVersion::Tls10, 2, 1),
            (MinVersion::Tls11, 2, 1),
            (MinVersion::Tls12, 2, 0),
            (MinVersion::Tls13, 1, 0),
        ] {
            let (protocol, said) = Protocol::new(version, "");
            assert_eq!((protocol.versions.len(), said.len()), (versions, notices), "{version:?}");
        }
    }
}
