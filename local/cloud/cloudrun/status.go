package cloudrun

import (
	"cmp"
	"path"
	"slices"
)

// Status sums up a service or a job for people.
type Status struct {
	Name     string // short name
	Kind     string // service or job
	Revision string // the serving revision, or the last execution
	Image    string
	URL      string // of a service
	State    string // service: ready or starting; job: succeeded, or idle before its first execution
	Restarts int    // of the revision's instance
	Error    string // why the instance is not ready
}

// Status returns all services and jobs in the order of their names.
func (s *Service) Status() []Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Status
	for _, svc := range s.services {
		all = append(all, svc.status())
	}
	for _, j := range s.jobs {
		j.mu.Lock()
		st := Status{Name: j.id, Kind: "job", State: "idle"}
		if t := j.api.Template; t != nil {
			st.Image = t.Template.Containers[0].Image
		}
		if e := j.api.LatestCreatedExecution; e != nil {
			st.Revision, st.State = e.Name, "succeeded"
		}
		j.mu.Unlock()
		all = append(all, st)
	}
	slices.SortFunc(all, func(a, b Status) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

func (svc *service) status() Status {
	svc.mu.RLock()
	defer svc.mu.RUnlock()
	if svc.current == nil {
		return Status{Name: svc.id, Kind: "service", URL: svc.uri, State: "starting"} // its first revision is being deployed
	}
	rev := svc.current
	rev.mu.Lock()
	defer rev.mu.Unlock()
	st := Status{
		Name: svc.id, Kind: "service", Revision: path.Base(svc.api.LatestReadyRevision), URL: svc.uri,
		Image: rev.template.Containers[0].Image, State: "ready", Restarts: rev.restarts,
	}
	if rev.backend == "" {
		st.State, st.Error = "starting", rev.trouble
	}
	return st
}
