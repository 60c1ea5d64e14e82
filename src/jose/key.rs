//! Keys that sign: made here, read from PEM, or taken out of the vault; each proven to work before it is used.
//!
//! Never gives out the private half except as PKCS#8 in a [`Secret`].

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::Value;

use super::algorithm::{Algorithm, Family};
use super::public_key::{PublicKey, RSA_MIN_BITS};
use super::signer::{Layout, Signer};
use crate::base::{Blame, Blamed, Random, Secret};

/// A private (or shared) key with its algorithm and `kid`, parsed and self-tested. Clones share it.
#[derive(Clone)]
pub struct SigningKey(Arc<Inner>);

struct Inner {
    algorithm: Algorithm,
    kid: String,
    signer: Signer,
    public: Option<PublicKey>,
}

impl SigningKey {
    /// A new key: RSA of 2048 bits, or the algorithm's curve, or 32 bytes from `random` for HS256.
    ///
    /// Key pairs come from the crypto library's own generator, which is also [`crate::base::SystemRandom`]'s source. RSA takes up to a
    /// second of CPU: not for an async task.
    ///
    /// # Errors
    /// When the crypto library cannot make one.
    pub fn generate(algorithm: Algorithm, random: &dyn Random) -> Result<Self, KeyError> {
        match Signer::generate(algorithm.family()).map_err(|_| KeyError::Generation)? {
            Some(signer) => Self::tested(algorithm, signer, None),
            None => Self::shared(&Secret::new(random.bytes::<32>().to_vec())),
        }
    }

    /// The first private key in a PEM file: PKCS#8, SEC1 (EC) or PKCS#1 (RSA).
    ///
    /// # Errors
    /// Says what the file holds instead: no key, a public key, an encrypted key, a key for other algorithms, a weak key.
    pub fn from_pem(algorithm: Algorithm, pem: &[u8]) -> Result<Self, KeyError> {
        if algorithm.is_symmetric() {
            return Err(KeyError::SharedFromPem);
        }
        let holds = |label: &[u8]| memchr::memmem::find(pem, label).is_some();
        // Told apart before parsing: the traditional encrypted form has the label of the plain one.
        if holds(b"ENCRYPTED") {
            return Err(KeyError::Encrypted);
        }
        let key = PrivateKeyDer::from_pem_slice(pem).map_err(|_| {
            if holds(b" PUBLIC KEY-----") || holds(b"-BEGIN PUBLIC KEY-----") || holds(b" CERTIFICATE-----") {
                KeyError::Public
            } else {
                KeyError::NoKey
            }
        })?;
        let key = zeroize::Zeroizing::new(key);
        let layout = match &*key {
            PrivateKeyDer::Pkcs8(_) => Layout::Pkcs8,
            PrivateKeyDer::Sec1(_) => Layout::Sec1,
            PrivateKeyDer::Pkcs1(_) => Layout::Pkcs1,
            _ => return Err(KeyError::NoKey),
        };
        Self::from_der(algorithm, layout, key.secret_der())
    }

    /// A managed key as [`Self::to_pkcs8`] wrote it.
    ///
    /// # Errors
    /// When the bytes are no acceptable key for `algorithm`.
    pub fn from_pkcs8(algorithm: Algorithm, der: &[u8]) -> Result<Self, KeyError> {
        Self::from_der(algorithm, Layout::Pkcs8, der)
    }

    /// A shared key for HS256, of at least 32 bytes (RFC 7518 section 3.2).
    ///
    /// Its `kid` is a truncated MAC under the key itself: it says no more about it than any token that it signs.
    ///
    /// # Errors
    /// When it is too short.
    pub fn shared(key: &Secret<Vec<u8>>) -> Result<Self, KeyError> {
        if key.expose().len() < SHARED_MIN_BYTES {
            return Err(KeyError::SharedTooShort);
        }
        let signer = Signer::shared(key.expose());
        let mac = signer.sign(Algorithm::Hs256, b"vestibule kid").map_err(|_| KeyError::SelfTest)?;
        let kid = URL_SAFE_NO_PAD.encode(mac.get(..9).unwrap_or_default());
        Ok(Self(Arc::new(Inner { algorithm: Algorithm::Hs256, kid, signer, public: None })))
    }

    fn from_der(algorithm: Algorithm, layout: Layout, der: &[u8]) -> Result<Self, KeyError> {
        match Signer::from_der(algorithm.family(), layout, der) {
            Ok(Some(signer)) => Self::tested(algorithm, signer, None),
            Ok(None) | Err(_) => Err(why_not(algorithm, layout, der)),
        }
    }

    /// A key that loads may still not sign, or sign what nobody can verify: try it before it is published. Its name is the thumbprint
    /// unless its owner has given it another.
    pub(super) fn tested(algorithm: Algorithm, signer: Signer, kid: Option<String>) -> Result<Self, KeyError> {
        let public = signer.public_key().ok_or(KeyError::SelfTest)?;
        let message = b"self-test";
        let signature = signer.sign(algorithm, message).map_err(|_| KeyError::SelfTest)?;
        if !public.verifies(algorithm, message, &signature) {
            return Err(KeyError::SelfTest);
        }
        let kid = kid.unwrap_or_else(|| public.thumbprint());
        Ok(Self(Arc::new(Inner { algorithm, kid, signer, public: Some(public) })))
    }

    /// The key as PKCS#8 (version 1) for the vault. `None` for a shared key, which has no such form.
    ///
    /// # Errors
    /// When the crypto library cannot write it.
    pub fn to_pkcs8(&self) -> Result<Option<Secret<Vec<u8>>>, KeyError> {
        self.0.signer.to_pkcs8().map_err(|_| KeyError::SelfTest)
    }

    /// Its name: the JWK thumbprint (RFC 7638, SHA-256), so that equal keys have equal names everywhere, unless a JWK named it.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.0.kid
    }

    /// What it signs with.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.0.algorithm
    }

    /// Its public JWK with `kid`, `alg` and `use`, and nothing private. `None` for a shared key.
    #[must_use]
    pub fn public_jwk(&self) -> Option<Value> {
        let mut jwk = self.0.public.as_ref()?.to_jwk();
        for (name, value) in [("kid", self.kid()), ("alg", self.algorithm().as_str()), ("use", "sig")] {
            jwk.insert(name.to_owned(), Value::from(value));
        }
        Some(Value::Object(jwk))
    }

    pub(super) fn public_key(&self) -> Option<&PublicKey> {
        self.0.public.as_ref()
    }

    pub(super) fn signature(&self, message: &[u8]) -> Option<Vec<u8>> {
        self.0.signer.sign(self.0.algorithm, message).ok()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("algorithm", &self.0.algorithm)
            .field("kid", &self.0.kid)
            .finish_non_exhaustive()
    }
}

/// Why a key or a set of keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// No PEM block with a private key.
    #[error("there is no PEM private key (PKCS#8, SEC1 or PKCS#1)")]
    NoKey,
    /// A public key or certificate.
    #[error("it holds a public key or certificate, not the private key")]
    Public,
    /// PKCS#8 or traditional encryption.
    #[error("the private key is encrypted: decrypt it first, for example with `openssl pkey`")]
    Encrypted,
    /// A key of another kind.
    #[error("{algorithm} needs {needed}, and this is {found}")]
    WrongKind {
        /// What was asked for.
        algorithm: Algorithm,
        /// The kind of key it needs.
        needed: &'static str,
        /// The kind of key that was given.
        found: &'static str,
    },
    /// RSA below 2048 bits.
    #[error("an RSA key needs {RSA_MIN_BITS} to 8192 bits")]
    RsaSize,
    /// A private key that cannot be read.
    #[error("the private key cannot be read: damaged, or of a kind that is not supported")]
    Unreadable,
    /// HS256 with a PEM file.
    #[error("HS256 needs a shared key of at least 32 bytes, not a PEM file")]
    SharedFromPem,
    /// Fewer than 32 bytes.
    #[error("a shared key needs at least 32 bytes")]
    SharedTooShort,
    /// It loads and does not work.
    #[error("the key failed its self-test: what it signs does not verify")]
    SelfTest,
    /// The crypto library refused.
    #[error("no key could be generated")]
    Generation,
    /// No JWK of one private key, or one of a kind that is not known here.
    #[error("it is not a private JWK of one key: EC on P-256 or P-384, Ed25519, or RSA")]
    NotAJwk,
    /// Its `use`, `key_ops` or `alg` forbids it.
    #[error("its JWK says that it is not for signatures, or for an `alg` that it cannot be used with")]
    NotForSigning,
    /// Not a JWK Set (RFC 7517 section 5).
    #[error("it is not a JWK Set")]
    NotASet,
}

impl Blamed for KeyError {
    fn blame(&self) -> Blame {
        match self {
            Self::NotASet => Blame::Provider,
            _ => Blame::Bug,
        }
    }
}

/// Looks for what the bytes are instead, so that the error can say it.
fn why_not(algorithm: Algorithm, layout: Layout, der: &[u8]) -> KeyError {
    for family in [Family::P256, Family::P384, Family::Ed25519, Family::Rsa] {
        match Signer::from_der(family, layout, der) {
            Ok(Some(_)) if family != algorithm.family() => {
                return KeyError::WrongKind { algorithm, needed: algorithm.family().as_str(), found: family.as_str() };
            }
            Err(rejected) if family == Family::Rsa && matches!(rejected.description_(), "TooSmall" | "TooLarge") => {
                return KeyError::RsaSize;
            }
            _ => {}
        }
    }
    KeyError::Unreadable
}

const SHARED_MIN_BYTES: usize = 32;

#[cfg(test)]
mod tests {
    use aws_lc_rs::encoding::{AsDer as _, EcPrivateKeyRfc5915Der};
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
    use base64::engine::general_purpose::STANDARD;

    use super::*;
    use crate::testing::SeededRandom;

    fn pem(label: &str, der: &[u8]) -> Vec<u8> {
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der)).into_bytes()
    }

    fn generate(algorithm: Algorithm) -> SigningKey {
        SigningKey::generate(algorithm, &SeededRandom::new(3)).unwrap()
    }

    #[test]
    fn keys_survive_the_vault_and_pem_files() {
        for algorithm in [Algorithm::Es256, Algorithm::Es384, Algorithm::EdDsa, Algorithm::Rs256, Algorithm::Ps256] {
            let key = generate(algorithm);
            let der = key.to_pkcs8().unwrap().unwrap();
            let back = SigningKey::from_pkcs8(algorithm, der.expose()).unwrap();
            assert_eq!((back.kid(), back.algorithm()), (key.kid(), algorithm));
            let back = SigningKey::from_pem(algorithm, &pem("PRIVATE KEY", der.expose())).unwrap();
            assert_eq!(back.public_jwk(), key.public_jwk());
        }
    }

    #[test]
    fn the_older_layouts_are_read() {
        let ec = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let sec1: EcPrivateKeyRfc5915Der<'_> = ec.private_key().as_der().unwrap();
        // As OpenSSL writes it: with the parameters first.
        let parameters = pem("EC PARAMETERS", &[6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7]);
        let file = [parameters, pem("EC PRIVATE KEY", sec1.as_ref())].concat();
        let key = SigningKey::from_pem(Algorithm::Es256, &file).unwrap();
        assert_eq!(
            key.kid(),
            SigningKey::from_pkcs8(Algorithm::Es256, ec.to_pkcs8v1().unwrap().as_ref()).unwrap().kid()
        );

        let rsa = generate(Algorithm::Rs256);
        // PKCS#8 of an RSA key of 2048 bits is a frame of 26 bytes around PKCS#1.
        let pkcs1 = &rsa.to_pkcs8().unwrap().unwrap().expose()[26..].to_vec();
        assert_eq!(SigningKey::from_pem(Algorithm::Ps256, &pem("RSA PRIVATE KEY", pkcs1)).unwrap().kid(), rsa.kid());
    }

    #[test]
    fn errors_say_what_the_file_is() {
        let ec = generate(Algorithm::Es256).to_pkcs8().unwrap().unwrap();
        let ec = pem("PRIVATE KEY", ec.expose());
        for (algorithm, file, words) in [
            (Algorithm::Rs256, ec.clone(), "RS256 needs an RSA key, and this is an EC key on P-256"),
            (Algorithm::Es384, ec.clone(), "ES384 needs an EC key on P-384, and this is an EC key on P-256"),
            (Algorithm::EdDsa, ec.clone(), "EdDSA needs an Ed25519 key, and this is an EC key on P-256"),
            (Algorithm::Hs256, ec, "HS256 needs a shared key"),
            (Algorithm::Es256, pem("PUBLIC KEY", b"x"), "it holds a public key or certificate"),
            (Algorithm::Es256, pem("RSA PUBLIC KEY", b"x"), "it holds a public key or certificate"),
            (Algorithm::Es256, pem("CERTIFICATE", b"x"), "it holds a public key or certificate"),
            (Algorithm::Es256, pem("ENCRYPTED PRIVATE KEY", b"x"), "is encrypted"),
            (
                Algorithm::Es256,
                b"-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END EC PRIVATE KEY-----\n"
                    .to_vec(),
                "is encrypted",
            ),
            (Algorithm::Es256, pem("PRIVATE KEY", b"junk"), "cannot be read"),
            (Algorithm::Es256, b"hunter2".to_vec(), "no PEM private key"),
            (Algorithm::Es256, Vec::new(), "no PEM private key"),
        ] {
            let error = SigningKey::from_pem(algorithm, &file).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
            assert!(!error.contains("hunter2"));
        }
    }

    /// TOK-11: a weak key of our own is refused as well.
    #[test]
    fn rsa_1024_is_refused() {
        let der = "MIICdgIBADANBgkqhkiG9w0BAQEFAASCAmAwggJcAgEAAoGBAMNwDJRQjwvRwYt4fYZMMFhY4Yl2DRbpkv8fYgmtqpa1wlWmR8NTl/kcc12bQVaklD\
            34E1UWMg58z6hGe/VQIYo3FbWYDdVRk0cp6Gr3m6yrSBGKtply0Oc7S/Msp84ZhAs732ycdgUcfi3PDXS3G+HGJBJq4B1au00dfWUU4NgVAgMBAAECgYB4obzh/\
            yeMYBhbAjBYqMZegd4Ufu1taxb0qmZVGwDkraQaQdyh0ANKHCmJab9Wv5dQ+MLWDjEviBKVB4yTyrYoCcLMYk3Rr9Sh5YVc8UZzwk7pl4mjNLKtkXIuLjFN1YGw\
            EnIS1m6ABsOAWJyYcWbZ+uzzyF2oK6HK8FaL8l6NsQJBAOYRea8Hw0kiFvDJXRLM1zustp5FbCbFrElrj+5Ow7exy4DYSSTVqRiOTplB/eKKjkDZV5/KiEgriC6\
            VLPh9T88CQQDZd1Kvkomhhrg4q5toSt2VDfo1c9FKlswLKq+9bVeY4dUVAWJYDSsmxaDpaqguDpVm0hdvHA8tyXgEFeI9e87bAkEAjUiyB1CnFmQ+3kNqSr9Mdb\
            MMuok7b1v4/2V0kA4Clu4yYL9xu5MSMqhBkFA8T0BzN1PBQbmok1lYWfL2GOsrdQJAainAagoFup9ELBZKxf1Wcz/hmFq0H8/CSOlL5hQNIYuONLT6R7YWDNWKG\
            qmA9QsVkJ6b5hgyqM2kE4qDajSY5QJABCcsCo/6TFKF8J4PZc8e/yPrA4joqcnBZiSAUSFc57NIMbkZv5o+INtHrvzdWRdkpuUvP21eEHNGKiHX26K+6g==";
        let file = pem("PRIVATE KEY", &STANDARD.decode(der).unwrap());
        for algorithm in [Algorithm::Rs256, Algorithm::Ps256] {
            let error = SigningKey::from_pem(algorithm, &file).unwrap_err();
            assert!(matches!(error, KeyError::RsaSize), "{error:?}");
        }
    }

    /// ID-07: the published half has public members only.
    #[test]
    fn public_jwks_are_public() {
        for algorithm in Algorithm::ALL {
            let key = generate(algorithm);
            let Some(jwk) = key.public_jwk() else {
                assert_eq!(algorithm, Algorithm::Hs256);
                continue;
            };
            let names: Vec<_> = jwk.as_object().unwrap().keys().map(String::as_str).collect();
            assert!(
                names.iter().all(|name| ["kty", "crv", "x", "y", "n", "e", "kid", "alg", "use"].contains(name)),
                "{names:?}"
            );
            assert_eq!((jwk["alg"].as_str(), jwk["use"].as_str()), (Some(algorithm.as_str()), Some("sig")));
            let theirs: jsonwebtoken::jwk::Jwk = serde_json::from_value(jwk.clone()).unwrap();
            assert_eq!(theirs.thumbprint(jsonwebtoken::jwk::ThumbprintHash::SHA256).unwrap(), key.kid());
        }
    }

    /// OPS-01: `Debug` of a key shows its name and algorithm alone.
    #[test]
    fn debug_is_opaque() {
        let shared = SigningKey::shared(&Secret::new(b"hunter2-hunter2-hunter2-hunter2-".to_vec())).unwrap();
        let shown = format!("{shared:?}");
        assert_eq!(shown, format!("SigningKey {{ algorithm: Hs256, kid: {:?}, .. }}", shared.kid()));
        assert!(matches!(SigningKey::shared(&Secret::new(vec![1; 31])), Err(KeyError::SharedTooShort)));
        assert!(shared.to_pkcs8().unwrap().is_none() && shared.public_jwk().is_none());
    }
}
