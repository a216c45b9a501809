//! What is added to a pod.

use k8s_openapi::api::core::v1::{
    Container, EnvVar, PodSpec, ProjectedVolumeSource, ServiceAccountTokenProjection, Volume, VolumeMount,
    VolumeProjection,
};

use crate::settings::Settings;

const ROLE: &str = "AWS_ROLE_ARN";
const TOKEN_FILE: &str = "AWS_WEB_IDENTITY_TOKEN_FILE";

/// Adds variables and mount to all containers, and the volume.
pub(crate) fn add_web_identity(spec: &mut PodSpec, role: &str, settings: &Settings) {
    for container in spec.init_containers.iter_mut().flatten().chain(&mut spec.containers) {
        serve(container, role, settings);
    }
    let volumes = spec.volumes.get_or_insert_default();
    if volumes.iter().any(|volume| volume.name == settings.token_volume_name) {
        return;
    }
    let token = ServiceAccountTokenProjection {
        audience: Some(settings.token_audience.clone()),
        expiration_seconds: Some(settings.token_expiration),
        path: "token".to_owned(),
    };
    volumes.push(Volume {
        name: settings.token_volume_name.clone(),
        projected: Some(ProjectedVolumeSource {
            sources: Some(vec![VolumeProjection {
                service_account_token: Some(token),
                ..VolumeProjection::default()
            }]),
            ..ProjectedVolumeSource::default()
        }),
        ..Volume::default()
    });
}

fn serve(container: &mut Container, role: &str, settings: &Settings) {
    let variables = container.env.get_or_insert_default();
    for (name, value) in [(ROLE, role.to_owned()), (TOKEN_FILE, format!("{}/token", settings.token_mount_path))] {
        if !variables.iter().any(|variable| variable.name == name) {
            variables.push(EnvVar { name: name.to_owned(), value: Some(value), value_from: None });
        }
    }
    let mounts = container.volume_mounts.get_or_insert_default();
    if !mounts.iter().any(|mount| mount.mount_path == settings.token_mount_path) {
        mounts.push(VolumeMount {
            mount_path: settings.token_mount_path.clone(),
            name: settings.token_volume_name.clone(),
            read_only: Some(true),
            ..VolumeMount::default()
        });
    }
}
