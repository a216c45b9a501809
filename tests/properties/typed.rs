//! What holds for every pod, with Kubernetes' own types as the judge.

use k8s_openapi::api::core::v1::{
    Container, EnvVar, EnvVarSource, EphemeralContainer, ObjectFieldSelector, Pod, ProjectedVolumeSource,
    ServiceAccountTokenProjection, VolumeMount, VolumeProjection,
};
use serde_json::{Value, json};

use crate::check;
use crate::decide::{Addition, PodPlan, decide};
use crate::generate::scenario;

/// What was sent and what comes out differ by what the plan says.
#[test]
fn the_typed_pod_holds_what_the_plan_says() {
    check(scenario(), |scenario| {
        let decided = decide(&scenario);
        let Some(change) = decided.change() else { return };
        let mut expected: Pod = serde_json::from_value(scenario.pod.clone()).unwrap();
        apply(&mut expected, &change.plan);
        let found: Pod = serde_json::from_str(&change.object).unwrap();
        assert_eq!(found, expected);
    });
}

fn apply(pod: &mut Pod, plan: &PodPlan) {
    let spec = pod.spec.get_or_insert_default();
    for addition in &plan.additions {
        let Addition { index, env, mount, .. } = addition;
        let (env_list, mounts) = match addition.list {
            "initContainers" => lists(&mut spec.init_containers.as_mut().unwrap()[*index]),
            "containers" => lists(&mut spec.containers[*index]),
            _ => {
                let EphemeralContainer { env, volume_mounts, .. } =
                    &mut spec.ephemeral_containers.as_mut().unwrap()[*index];
                (env, volume_mounts)
            }
        };
        if !env.is_empty() {
            env_list.get_or_insert_default().extend(env.iter().map(|(name, value)| EnvVar {
                name: (*name).to_owned(),
                value: value.clone(),
                value_from: value.is_none().then(|| EnvVarSource {
                    field_ref: Some(ObjectFieldSelector {
                        api_version: None,
                        field_path: "metadata.name".to_owned(),
                    }),
                    ..EnvVarSource::default()
                }),
            }));
        }
        if let Some((name, path)) = mount {
            mounts.get_or_insert_default().push(VolumeMount {
                name: name.clone(),
                mount_path: path.clone(),
                read_only: Some(true),
                ..VolumeMount::default()
            });
        }
    }
    if let Some(volume) = &plan.volume {
        spec.volumes.get_or_insert_default().push(k8s_openapi::api::core::v1::Volume {
            name: volume.name.clone(),
            projected: Some(ProjectedVolumeSource {
                default_mode: volume.file_mode.map(i32::from),
                sources: Some(vec![VolumeProjection {
                    service_account_token: Some(ServiceAccountTokenProjection {
                        audience: Some(volume.audience.clone()),
                        expiration_seconds: Some(i64::try_from(volume.expiration).unwrap()),
                        path: volume.path.clone(),
                    }),
                    ..VolumeProjection::default()
                }]),
            }),
            ..k8s_openapi::api::core::v1::Volume::default()
        });
    }
    if plan.label {
        let labels = pod.metadata.labels.get_or_insert_default();
        labels.insert("eks.amazonaws.com/pod-identity".to_owned(), "enabled".to_owned());
    }
}

fn lists(container: &mut Container) -> (&mut Option<Vec<EnvVar>>, &mut Option<Vec<VolumeMount>>) {
    (&mut container.env, &mut container.volume_mounts)
}

/// What the plan says makes sense to Kubernetes, whoever wrote the plan.
#[test]
fn what_comes_out_is_consistent() {
    check(scenario(), |scenario| {
        let decided = decide(&scenario);
        let Some(change) = decided.change() else { return };
        let after: Pod = serde_json::from_str(&change.object).unwrap();
        let spec = after.spec.unwrap();
        let volumes = spec.volumes.unwrap_or_default();
        if let Some(volume) = &change.plan.volume {
            assert_eq!(
                volumes.iter().filter(|other| other.name == volume.name).count(),
                1,
                "the volume's name is taken"
            );
            assert!(volume.name.len() <= 63, "{}", volume.name);
            assert!(scenario.old_pod.is_none(), "a volume for a pod that runs");
            let mounted = change
                .plan
                .additions
                .iter()
                .any(|addition| addition.mount.as_ref().is_some_and(|(name, _)| *name == volume.name));
            assert!(mounted, "nobody mounts the volume");
        }
        assert!(!(change.plan.label && scenario.old_pod.is_some()), "a label for a pod that runs");
        for addition in &change.plan.additions {
            assert_eq!(addition.list == "ephemeralContainers", scenario.old_pod.is_some(), "{addition:?}");
            let container = json!(after_container(&change.object, addition));
            let names: Vec<_> =
                container["env"].as_array().into_iter().flatten().map(|env| env["name"].clone()).collect();
            for (name, _) in &addition.env {
                assert_eq!(names.iter().filter(|other| *other == name).count(), 1, "{name} twice");
            }
            if let Some((name, _)) = &addition.mount {
                assert!(volumes.iter().any(|volume| volume.name == *name), "there is no volume {name}");
            }
            let skipped = |key: &str| {
                let list = scenario.pod["metadata"]["annotations"][key].as_str();
                list.is_some_and(|list| list.split(',').any(|name| name.trim() == container["name"]))
            };
            if scenario.settings["annotationPrefix"] != "example.com" {
                assert!(!skipped("eks.amazonaws.com/skip-containers"), "{} is skipped", container["name"]);
            }
        }
    });
}

fn after_container(object: &str, addition: &Addition) -> Value {
    let object: Value = serde_json::from_str(object).unwrap();
    object["spec"][addition.list][addition.index].clone()
}
