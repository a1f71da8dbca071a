//! The table of all settings.

use super::{
    admin::AdminConfig, api_tokens::ApiTokenConfig, audit::AuditConfig, introspection::IntrospectionConfig,
    log::LogConfig, password::PasswordConfig, server::ServerConfig, session, setting::AnySetting,
    signup::SignupConfig, store::StoreConfig, throttle::ThrottleConfig, token,
};

/// Every setting, section by section, in the order of the shipped file.
pub fn settings() -> impl Iterator<Item = AnySetting> {
    [
        ServerConfig::SETTINGS,
        StoreConfig::SETTINGS,
        token::SETTINGS,
        session::SETTINGS,
        ApiTokenConfig::SETTINGS,
        SignupConfig::SETTINGS,
        PasswordConfig::SETTINGS,
        ThrottleConfig::SETTINGS,
        IntrospectionConfig::SETTINGS,
        AdminConfig::SETTINGS,
        AuditConfig::SETTINGS,
        LogConfig::SETTINGS,
    ]
    .into_iter()
    .flatten()
    .copied()
}
