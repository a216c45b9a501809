//! The webhook as it runs: its own process, at a real kube-apiserver and etcd, with RBAC on. Pods are created through
//! the API and read back; nothing stands in for the API server.
//!
//! `cargo test -p webhook --features real-apiserver --test e2e -- --test-threads=16` lets the waiting of one scenario
//! go on beside the others; `--nocapture` shows what each does. The AWS SDK's scenarios need
//! `tools/setup e2e-python` first.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "these are tests, helpers included"
)]

// What scenarios work with.
mod aws;
mod balancer;
mod certificate_files;
mod cluster;
mod kubelet;
mod load;
mod pod;
mod review;
mod scenario;
mod second_webhook;
mod token;
mod webhook;

// The scenarios.
mod admission;
mod aws_sdk;
mod connections;
mod faults;
mod identities;
mod installation;
