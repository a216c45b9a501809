//! What is needed for handshakes.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use rustls::ServerConfig;

/// The configuration for the next handshake; none until there is a certificate. Whoever has a newer certificate
/// stores another.
pub type Published = Arc<ArcSwapOption<ServerConfig>>;
