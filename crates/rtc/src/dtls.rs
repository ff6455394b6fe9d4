//! DTLS for every peer from one configuration.
//!
//! str0m's own provider builds a `dimpl::Config` per peer, and building one runs the self-tests of
//! the whole crypto provider: most of a peer's set-up cost. This provider builds it once.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use str0m::crypto::dtls::{
    DtlsCert, DtlsImplError, DtlsInstance, DtlsOutput, DtlsProvider, DtlsVersion, ProtocolVersion,
};
use str0m::crypto::{CryptoError, CryptoProvider, from_feature_flags};

/// First retransmission of a handshake flight. RFC 6347 says 1 s and lets real-time uses go lower;
/// ICE has just measured the path, and a lost ClientHello should not cost a second.
const FLIGHT_RTO: Duration = Duration::from_millis(150);

/// Doubling from [`FLIGHT_RTO`], these reach past the handshake timeout.
const FLIGHT_RETRIES: usize = 7;

/// The process's crypto provider: str0m's, with our DTLS.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    static DTLS: OnceLock<SharedDtls> = OnceLock::new();
    PROVIDER
        .get_or_init(|| {
            let base = from_feature_flags();
            let dtls = DTLS.get_or_init(|| SharedDtls { inner: base.dtls_provider, config: OnceLock::new() });
            Arc::new(CryptoProvider { dtls_provider: dtls, ..base })
        })
        .clone()
}

struct SharedDtls {
    inner: &'static dyn DtlsProvider,
    /// With the MTU it was built for: str0m gives the same one for every peer of ours.
    config: OnceLock<(Option<usize>, Arc<dimpl::Config>)>,
}

impl fmt::Debug for SharedDtls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedDtls").finish_non_exhaustive()
    }
}

impl SharedDtls {
    fn config(&self, mtu: Option<usize>) -> Result<Arc<dimpl::Config>, CryptoError> {
        if let Some((built_for, config)) = self.config.get()
            && *built_for == mtu
        {
            return Ok(config.clone());
        }
        // ICE proves the return path before DTLS starts, so a server cookie would only cost a
        // round trip.
        let mut builder = dimpl::Config::builder()
            .use_server_cookie(false)
            .flight_start_rto(FLIGHT_RTO)
            .flight_retries(FLIGHT_RETRIES);
        if let Some(mtu) = mtu {
            builder = builder.mtu(mtu);
        }
        let config = builder.build().map_err(|error| CryptoError::Other(format!("DTLS configuration: {error}")))?;
        let config = Arc::new(config);
        let _ = self.config.set((mtu, config.clone()));
        Ok(config)
    }
}

impl DtlsProvider for SharedDtls {
    fn generate_certificate(&self) -> Option<DtlsCert> {
        self.inner.generate_certificate()
    }

    fn new_dtls(
        &self,
        cert: &DtlsCert,
        now: Instant,
        version: DtlsVersion,
        mtu: Option<usize>,
    ) -> Result<Box<dyn DtlsInstance>, CryptoError> {
        if version != DtlsVersion::Dtls12 {
            return self.inner.new_dtls(cert, now, version, mtu);
        }
        let certificate =
            dimpl::DtlsCertificate { certificate: cert.certificate.clone(), private_key: cert.private_key.clone() };
        let dtls = dimpl::Dtls::new_12(self.config(mtu)?, certificate, now);
        Ok(Box::new(Instance(dtls)))
    }
}

struct Instance(dimpl::Dtls);

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Instance")
    }
}

impl DtlsInstance for Instance {
    fn set_active(&mut self, active: bool) {
        self.0.set_active(active);
    }

    fn handle_packet(&mut self, packet: &[u8]) -> Result<(), DtlsImplError> {
        self.0.handle_packet(packet)
    }

    fn poll_output<'a>(&mut self, buffer: &'a mut [u8]) -> DtlsOutput<'a> {
        self.0.poll_output(buffer)
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), DtlsImplError> {
        self.0.handle_timeout(now)
    }

    fn send_application_data(&mut self, data: &[u8]) -> Result<usize, DtlsImplError> {
        self.0.send_application_data(data)
    }

    fn is_active(&self) -> bool {
        self.0.is_active()
    }

    fn protocol_version(&self) -> Option<ProtocolVersion> {
        self.0.protocol_version()
    }

    fn is_closing(&self) -> bool {
        self.0.is_closing()
    }

    fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    fn close(&mut self) -> Result<(), DtlsImplError> {
        self.0.close()
    }
}
