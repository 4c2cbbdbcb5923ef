//! Trust in what `certs.d` holds: authorities beside the system's, and certificates of servers themselves.
//!
//! Who makes a certificate for a registry at home often makes one that signs itself, and puts that into `certs.d`.
//! Docker and podman take it; webpki does not, as such a certificate calls itself an authority. It is taken here if
//! the server shows this very certificate, and name and time are right.

use anyhow::{Context, Result};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use rustls_platform_verifier::Verifier;
use std::sync::Arc;

/// A configuration of TLS that trusts the system's authorities and these certificates (PEM), with the client's own
/// certificate and key (PEM) if there is one.
pub fn config(trusted: &[Vec<u8>], identity: Option<&[u8]>) -> Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let certificates = trusted.iter().map(|pem| parse(pem)).collect::<Result<Vec<_>>>();
    let trusted = certificates.context("cannot use a `.crt` file in certs.d")?.concat();
    let inner = Verifier::new_with_extra_roots(trusted.clone(), Arc::clone(&provider)).context("cannot start TLS")?;
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    let verifier = Arc::new(Pinned { inner, trusted, provider });
    let builder = builder.context("cannot start TLS")?.dangerous().with_custom_certificate_verifier(verifier);
    let Some(pem) = identity else { return Ok(builder.with_no_client_auth()) };
    let key = PrivateKeyDer::from_pem_slice(pem).context("cannot use the client's key in certs.d")?;
    builder.with_client_auth_cert(parse(pem)?, key).context("cannot use the client certificate in certs.d")
}

fn parse(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>> {
    Ok(CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>()?)
}

/// The system's verifier, and certificates that need no authority.
#[derive(Debug)]
struct Pinned {
    inner: Verifier,
    trusted: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.inner.verify_server_cert(end_entity, intermediates, name, ocsp, now) {
            // webpki looks at the time first, so that it is right if this is what it minds. Its own error is not in
            // reach but by its name.
            Err(error) if format!("{error:?}").contains("CaUsedAsEndEntity") && self.trusted.contains(end_entity) => {
                let parsed = ParsedCertificate::try_from(end_entity)?;
                rustls::client::verify_server_name(&parsed, name)?;
                Ok(ServerCertVerified::assertion())
            }
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
