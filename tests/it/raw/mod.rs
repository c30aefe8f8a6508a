//! Requests that no SDK would send, each refused as S3 refuses it.

mod access_log;
mod answers;
mod checksum;
pub(crate) mod chunks;
mod connection;
mod constraint;
mod crowd;
pub(crate) mod form;
mod history;
mod hostile;
mod metrics;
mod oss;
mod reach;
mod refusals;
mod signature;
pub(crate) mod signature_v2;
pub(crate) mod sts;
mod telemetry;
mod tls;
pub(crate) mod wire;
