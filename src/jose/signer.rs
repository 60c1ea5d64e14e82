//! The private half of a key, parsed once and kept: parsing costs as much as signing.
//!
//! Never printed, never written anywhere except as PKCS#8 for the vault.

use std::fmt;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::error::{KeyRejected, Unspecified};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    self as aws, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    Ed25519KeyPair, KeyPair as _, RsaEncoding, RsaKeyPair, RsaPublicKeyComponents,
};
use aws_lc_rs::{hmac, rand};

use super::algorithm::{Algorithm, Family};
use super::public_key::PublicKey;
use crate::base::Secret;

/// A private or shared key, ready to sign.
pub(super) enum Signer {
    Ec(Family, EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair),
    Shared(Box<hmac::Key>),
}

/// How the bytes of a private key are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// RFC 5208, any kind of key.
    Pkcs8,
    /// RFC 5915, EC only.
    Sec1,
    /// RFC 8017, RSA only.
    Pkcs1,
}

impl Signer {
    /// A new key pair from the crypto library's own generator. `None` for a shared key: its bytes come from elsewhere.
    pub(super) fn generate(family: Family) -> Result<Option<Self>, Unspecified> {
        Ok(Some(match family {
            Family::P256 | Family::P384 => Self::Ec(family, EcdsaKeyPair::generate(curve(family).ok_or(Unspecified)?)?),
            Family::Ed25519 => Self::Ed25519(Ed25519KeyPair::generate()?),
            Family::Rsa => Self::Rsa(RsaKeyPair::generate(KeySize::Rsa2048)?),
            Family::Shared => return Ok(None),
        }))
    }

    /// Reads a private key of that family. `Ok(None)` when the layout cannot hold one.
    pub(super) fn from_der(family: Family, layout: Layout, der: &[u8]) -> Result<Option<Self>, KeyRejected> {
        Ok(match (family, layout) {
            (Family::P256 | Family::P384, Layout::Pkcs8 | Layout::Sec1) => match curve(family) {
                Some(curve) => Some(Self::Ec(family, EcdsaKeyPair::from_private_key_der(curve, der)?)),
                None => None,
            },
            // Both PKCS#8 v1 (OpenSSL) and v2 (with the public key, as some tools write) are read.
            (Family::Ed25519, Layout::Pkcs8) => Some(Self::Ed25519(Ed25519KeyPair::from_pkcs8_maybe_unchecked(der)?)),
            (Family::Rsa, Layout::Pkcs8) => Some(Self::Rsa(RsaKeyPair::from_pkcs8(der)?)),
            (Family::Rsa, Layout::Pkcs1) => Some(Self::Rsa(RsaKeyPair::from_der(der)?)),
            _ => None,
        })
    }

    /// A shared key for HMAC with SHA-256.
    pub(super) fn shared(key: &[u8]) -> Self {
        Self::Shared(Box::new(hmac::Key::new(hmac::HMAC_SHA256, key)))
    }

    /// PKCS#8 version 1. `None` for a shared key, which has no such form.
    pub(super) fn to_pkcs8(&self) -> Result<Option<Secret<Vec<u8>>>, Unspecified> {
        let bytes = match self {
            Self::Ec(_, pair) => pair.to_pkcs8v1()?.as_ref().to_vec(),
            Self::Ed25519(pair) => pair.to_pkcs8v1()?.as_ref().to_vec(),
            Self::Rsa(pair) => {
                let der: Pkcs8V1Der<'_> = pair.as_der()?;
                der.as_ref().to_vec()
            }
            Self::Shared(_) => return Ok(None),
        };
        Ok(Some(Secret::new(bytes)))
    }

    /// The public half. `None` for a shared key.
    pub(super) fn public_key(&self) -> Option<PublicKey> {
        match self {
            Self::Ec(family, pair) => PublicKey::point(*family, pair.public_key().as_ref().to_vec()),
            Self::Ed25519(pair) => PublicKey::ed25519(pair.public_key().as_ref().to_vec()),
            Self::Rsa(pair) => {
                let public = RsaPublicKeyComponents::<Vec<u8>>::from(pair.public_key());
                PublicKey::rsa(&public.n, &public.e)
            }
            Self::Shared(_) => None,
        }
    }

    /// The signature over `message`, as JWS has it (RFC 7518 section 3.4: `r || s` for ECDSA).
    pub(super) fn sign(&self, algorithm: Algorithm, message: &[u8]) -> Result<Vec<u8>, Unspecified> {
        let random = rand::SystemRandom::new();
        match self {
            Self::Ec(family, pair) if algorithm.family() == *family => {
                Ok(pair.sign(&random, message)?.as_ref().to_vec())
            }
            Self::Ed25519(pair) if algorithm == Algorithm::EdDsa => Ok(pair.try_sign(message)?.as_ref().to_vec()),
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(padding(algorithm).ok_or(Unspecified)?, &random, message, &mut signature)?;
                Ok(signature)
            }
            Self::Shared(key) if algorithm == Algorithm::Hs256 => Ok(hmac::sign(key, message).as_ref().to_vec()),
            _ => Err(Unspecified),
        }
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[private key]")
    }
}

fn curve(family: Family) -> Option<&'static EcdsaSigningAlgorithm> {
    match family {
        Family::P256 => Some(&ECDSA_P256_SHA256_FIXED_SIGNING),
        Family::P384 => Some(&ECDSA_P384_SHA384_FIXED_SIGNING),
        Family::Ed25519 | Family::Rsa | Family::Shared => None,
    }
}

fn padding(algorithm: Algorithm) -> Option<&'static dyn RsaEncoding> {
    Some(match algorithm {
        Algorithm::Rs256 => &aws::RSA_PKCS1_SHA256,
        Algorithm::Rs384 => &aws::RSA_PKCS1_SHA384,
        Algorithm::Rs512 => &aws::RSA_PKCS1_SHA512,
        Algorithm::Ps256 => &aws::RSA_PSS_SHA256,
        Algorithm::Ps384 => &aws::RSA_PSS_SHA384,
        Algorithm::Ps512 => &aws::RSA_PSS_SHA512,
        Algorithm::Es256 | Algorithm::Es384 | Algorithm::EdDsa | Algorithm::Hs256 => return None,
    })
}
