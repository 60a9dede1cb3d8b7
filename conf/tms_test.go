package conf

import "testing"

func TestOrderOf(t *testing.T) {
	config := Defaults()
	nas := &NAS{Order: OrderTMS}
	if got := config.OrderOf(nas); got != OrderLocal {
		t.Errorf("%q where there is no TMS", got)
	}
	config.TMS.Radius = []string{"127.0.0.1:1812"}
	if got := config.OrderOf(nas); got != OrderTMS {
		t.Errorf("%q, want that of the NAS", got)
	}
	if got := config.OrderOf(&NAS{}); got != OrderLocalThenTMS {
		t.Errorf("%q, want that of [tms]", got)
	}
}

func TestRepository(t *testing.T) {
	for text, want := range map[string][2]string{
		"all": {"all", ""}, "realm:EXAMPLE": {"realm", "EXAMPLE"}, "group: cn=a:b,dc=c": {"group", "cn=a:b,dc=c"},
	} {
		kind, name := (&TMS{UserRepository: text}).Repository()
		if got := [2]string{kind, name}; got != want {
			t.Errorf("%q: %q", text, got)
		}
	}
}
