package console

import "countersign/tms"

func addRule(c *call) (any, error) {
	n, err := read[tms.NewRule](c)
	if err != nil {
		return nil, err
	}
	return c.service.AddRule(c.ctx, c.caller, n)
}

func removeRule(c *call) (any, error) {
	r, err := read[nameRequest](c)
	if err != nil {
		return nil, err
	}
	return nil, c.service.RemoveRule(c.ctx, c.caller, r.Name)
}

func listRules(c *call) (any, error) {
	r, err := read[nameRequest](c)
	if err != nil {
		return nil, err
	}
	return nil, c.service.Rules(c.ctx, c.caller, r.Name, func(v tms.RuleView) error { return c.answer.item(v) })
}

func reportRules(c *call) (any, error) {
	r, err := read[reportRequest](c)
	if err != nil {
		return nil, err
	}
	return c.service.RuleReport(c.ctx, c.caller, r.Within)
}

func explainLogin(c *call) (any, error) {
	r, err := read[explainRequest](c)
	if err != nil {
		return nil, err
	}
	if r.Event != "" {
		return c.service.ExplainEvent(c.ctx, c.caller, r.Event)
	}
	return c.service.Explain(c.ctx, c.caller, r.ExplainRequest)
}
