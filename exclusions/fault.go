package exclusions

import "fmt"

// Fault is what is wrong with a rule. It is the error of Compile.
type Fault struct {
	Rule      int    // its index
	Criterion int    // index of the criterion, -1 when it is the rule as a whole
	Value     int    // index of the value, -1 when it is the criterion as a whole
	Problem   string // what is wrong
	Remedy    string // how to mend it
}

// Error returns "rule 1, criterion 2, value 3: problem; remedy", counted from 1.
func (f Fault) Error() string {
	place := fmt.Sprintf("rule %d", f.Rule+1)
	if f.Criterion >= 0 {
		place += fmt.Sprintf(", criterion %d", f.Criterion+1)
	}
	if f.Value >= 0 {
		place += fmt.Sprintf(", value %d", f.Value+1)
	}
	return place + ": " + f.Problem + "; " + f.Remedy
}

// complaint is a fault that does not know its place.
type complaint struct {
	problem, remedy string
}
