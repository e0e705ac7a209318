package stack

// googleMetrics are the metric types of Google's own that alerts, objectives
// and dashboards read, with the page that lists them. A test refuses any other:
// a misspelt type is accepted by a dashboard, which then stays empty.
//
// Pages below https://docs.cloud.google.com/monitoring/api/. All but those
// marked as not confirmed were found on 2026-11-25 in Google's own sample
// dashboards, github.com/GoogleCloudPlatform/monitoring-dashboard-samples at
// 25d8c3e; the pages themselves could not be read.
var googleMetrics = map[string]string{
	"cloudtasks.googleapis.com/queue/depth":                              "metrics_gcp_c#gcp-cloudtasks",
	"cloudtasks.googleapis.com/queue/task_attempt_delays":                "metrics_gcp_c#gcp-cloudtasks",
	"logging.googleapis.com/billing/monthly_bytes_ingested":              "metrics_gcp_i_o#gcp-logging (not confirmed)",
	"monitoring.googleapis.com/uptime_check/check_passed":                "metrics_gcp_i_o#gcp-monitoring (not confirmed)",
	"monitoring.googleapis.com/uptime_check/time_until_ssl_cert_expires": "metrics_gcp_i_o#gcp-monitoring (not confirmed)",
	"run.googleapis.com/container/billable_instance_time":                "metrics_gcp_p_z#gcp-run",
	"run.googleapis.com/container/instance_count":                        "metrics_gcp_p_z#gcp-run",
	"run.googleapis.com/request_count":                                   "metrics_gcp_p_z#gcp-run",
	"spanner.googleapis.com/api/request_latencies":                       "metrics_gcp_p_z#gcp-spanner",
	"spanner.googleapis.com/instance/cpu/smoothed_utilization":           "metrics_gcp_p_z#gcp-spanner (not confirmed)",
	"spanner.googleapis.com/instance/cpu/utilization_by_priority":        "metrics_gcp_p_z#gcp-spanner",
	"spanner.googleapis.com/instance/storage/utilization":                "metrics_gcp_p_z#gcp-spanner",
	"storage.googleapis.com/storage/total_bytes":                         "metrics_gcp_p_z#gcp-storage",
}
