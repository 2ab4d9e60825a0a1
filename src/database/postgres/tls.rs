//! TLS to PostgreSQL by rustls, according to `sslmode`.

use std::sync::{Arc, LazyLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ConfigBuilder, DigitallySignedStruct, Error, RootCertStore, SignatureScheme, WantsVerifier,
};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::database::Tls;

static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| Arc::new(ring::default_provider()));

/// Accepts any certificate, as `prefer` and `require` are defined.
static UNVERIFIED: LazyLock<Result<ClientConfig, String>> = LazyLock::new(|| {
    Ok(builder()?.dangerous().with_custom_certificate_verifier(Arc::new(AcceptAny)).with_no_client_auth())
});

/// Requires a certificate for the host, signed by an authority that this machine trusts.
static VERIFIED: LazyLock<Result<ClientConfig, String>> = LazyLock::new(|| {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err("this machine has no list of certificate authorities".to_owned());
    }
    Ok(builder()?.with_root_certificates(roots).with_no_client_auth())
});

fn builder() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, String> {
    let builder = ClientConfig::builder_with_provider(Arc::clone(&PROVIDER));
    builder.with_safe_default_protocol_versions().map_err(|error| error.to_string())
}

/// Returns the connector for a mode; the error says what this machine lacks.
pub(super) fn connector(tls: Tls) -> Result<MakeRustlsConnect, String> {
    let config = match tls {
        Tls::VerifyFull => &*VERIFIED,
        Tls::Disable | Tls::Prefer | Tls::Require => &*UNVERIFIED,
    };
    config.clone().map(MakeRustlsConnect::new)
}

#[derive(Debug)]
struct AcceptAny;

impl ServerCertVerifier for AcceptAny {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &PROVIDER.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &PROVIDER.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        PROVIDER.signature_verification_algorithms.supported_schemes()
    }
}
